/** Whoever comes writes the status; nobody looks whether the order has ended already. */
import { kysely } from '@quadrille/kysely'
import {
  InventoryRejected,
  InventoryUpdated,
  OrderCancelled,
  OrderCompleted,
  OrderCreated,
  PaymentFailed,
  PaymentSucceeded,
} from '@quadrille/example-orders/contracts'
import { fromMinor } from '@quadrille/example-orders/money'
import type { OrderTables } from '@quadrille/example-orders/orders'
import type { Kysely } from 'kysely'
import { service, type DataOf } from 'quadrille'
import { broken } from './broken.ts'

interface Context {
  readonly db: Kysely<OrderTables>
  readonly now: () => Date
}

type Reason = DataOf<typeof OrderCancelled>['reason']

const end = (db: Kysely<OrderTables>, orderId: string, verdict: Partial<OrderTables['orders_order']>) =>
  db
    .updateTable('orders_order')
    .set(verdict)
    .where('order_id', '=', orderId)
    .returning(['customer_id', 'total_minor'])
    .executeTakeFirst()

async function complete(orderId: string, { db, now }: Context) {
  const timestamp = now().toISOString()
  const order = await end(db, orderId, { status: 'completed', ended_at: timestamp })
  if (!order) return
  const { customer_id: customerId, total_minor } = order
  return OrderCompleted({ orderId, customerId, totalAmount: fromMinor(total_minor), timestamp })
}

async function cancel(orderId: string, reason: Reason, { db, now }: Context) {
  const timestamp = now().toISOString()
  const order = await end(db, orderId, { status: 'cancelled', reason, ended_at: timestamp })
  return order && OrderCancelled({ orderId, customerId: order.customer_id, reason, timestamp })
}

export default broken({
  name: 'decides-twice',
  wrong: 'The status is overwritten without a look at it: an order whose time is over as it is paid ends both ways.',
  check: [],
  simulate: 'an order that is both completed and cancelled',
  services: () => ({
    orders: service('orders', { db: kysely<OrderTables>() })
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
        { name: 'expire', unless: [OrderCompleted, OrderCancelled], within: '15m', emits: [OrderCancelled] },
        ({ orderId }, context) => cancel(orderId, 'took too long', context),
      ),
  }),
})
