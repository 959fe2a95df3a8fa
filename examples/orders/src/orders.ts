/**
 * The order service. It takes orders, and it has the last word on each of them: whatever the other services report, in
 * whatever order and however late, an order goes from pending to completed or to cancelled once, and never back.
 */
import { kysely } from '@quadrille/kysely'
import { sql, type Kysely } from 'kysely'
import { service, type DataOf, type Duration } from 'quadrille'
import {
  InventoryRejected,
  InventoryUpdated,
  OrderCancelled,
  OrderCompleted,
  OrderCreated,
  PaymentFailed,
  PaymentSucceeded,
  type Item,
} from './contracts.ts'
import { fromMinor, toMinor, totalOf } from './money.ts'

type CancelReason = DataOf<typeof OrderCancelled>['reason']

export interface OrderTables {
  orders_order: {
    order_id: string
    customer_id: string
    items: string
    total_minor: number
    status: 'pending' | 'completed' | 'cancelled'
    reason: CancelReason | null
    created_at: string
    ended_at: string | null
  }
}

export async function migrateOrders(db: Kysely<OrderTables>): Promise<void> {
  await sql`CREATE TABLE IF NOT EXISTS orders_order (
    order_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, items TEXT NOT NULL, total_minor INTEGER NOT NULL,
    status TEXT NOT NULL, reason TEXT, created_at TEXT NOT NULL, ended_at TEXT)`.execute(db)
  await sql`CREATE INDEX IF NOT EXISTS orders_order_newest ON orders_order (created_at)`.execute(db)
}

/** The service, for orders that may stay open so long. */
export const ordersWithin = (within: Duration) =>
  service('orders', { db: kysely<OrderTables>() })
    .all([PaymentSucceeded, InventoryUpdated], { name: 'complete', emits: [OrderCompleted] }, ([payment], context) =>
      complete(payment.orderId, context),
    )
    .on(PaymentFailed, { name: 'cancel unpaid', emits: [OrderCancelled] }, ({ orderId }, context) =>
      cancel(orderId, 'payment declined', context),
    )
    .on(InventoryRejected, { name: 'cancel short', emits: [OrderCancelled] }, ({ orderId }, context) =>
      cancel(orderId, 'out of stock', context),
    )
    .deadline(
      OrderCreated,
      { name: 'expire', unless: [OrderCompleted, OrderCancelled], within, emits: [OrderCancelled] },
      ({ orderId }, context) => cancel(orderId, 'took too long', context),
    )

export const orders = ordersWithin('15m')

/** What the functions below need of the context that Quadrille hands them: the open transaction, and the time. */
interface Context {
  readonly db: Kysely<OrderTables>
  readonly now: () => Date
}

export interface NewOrder {
  readonly orderId: string
  readonly customerId: string
  readonly items: readonly Item[]
}

/**
 * Saves the order and says so, in one transaction: there is no moment in which one is done without the other. An order
 * id that is known already is a repeated request: the order exists, and nothing happens.
 */
export async function place(order: NewOrder, { db, now }: Context) {
  const { orderId, customerId } = order
  const items = [...order.items]
  const totalAmount = totalOf(items)
  const timestamp = now().toISOString()
  const saved = await db
    .insertInto('orders_order')
    .values({
      order_id: orderId,
      customer_id: customerId,
      items: JSON.stringify(items),
      total_minor: toMinor(totalAmount),
      status: 'pending',
      reason: null,
      created_at: timestamp,
      ended_at: null,
    })
    .onConflict((conflict) => conflict.column('order_id').doNothing())
    .returning('order_id')
    .executeTakeFirst()
  return saved && OrderCreated({ orderId, customerId, items, totalAmount, timestamp })
}

/** Paid and reserved. The customer and the total are the order's own: no event has to be trusted for them. */
export async function complete(orderId: string, { db, now }: Context) {
  const timestamp = now().toISOString()
  const order = await decide(db, orderId, { status: 'completed', reason: null, ended_at: timestamp })
  if (!order) return
  const { customer_id: customerId, total_minor } = order
  return OrderCompleted({ orderId, customerId, totalAmount: fromMinor(total_minor), timestamp })
}

/** The money and the stock are not our business: payments and inventory undo what they did when they hear of this. */
export async function cancel(orderId: string, reason: CancelReason, { db, now }: Context) {
  const timestamp = now().toISOString()
  const order = await decide(db, orderId, { status: 'cancelled', reason, ended_at: timestamp })
  return order && OrderCancelled({ orderId, customerId: order.customer_id, reason, timestamp })
}

type Verdict = Pick<OrderTables['orders_order'], 'status' | 'reason' | 'ended_at'>

/**
 * The one place that decides. The payment may fail while the stock is short, and the deadline may pass while both
 * succeed: the first to find the order pending ends it, everyone after that finds no row and emits nothing.
 */
function decide(db: Kysely<OrderTables>, orderId: string, verdict: Verdict) {
  return db
    .updateTable('orders_order')
    .set(verdict)
    .where('order_id', '=', orderId)
    .where('status', '=', 'pending')
    .returning(['customer_id', 'total_minor'])
    .executeTakeFirst()
}
