/** A small order application as a crash subject: four services, payments outside, and rows that show every double. */
import { event, service, type AnyService } from 'quadrille'
import { nodeSqlite, type SqliteHandle } from 'quadrille/sqlite'
import { lazily } from './outside.ts'
import { plain } from './plain-schema.ts'

/** One order as the test places it. `turn` counts the orders of its customer, from 1. */
export interface OrderData {
  readonly id: string
  readonly customerId: string
  readonly turn: number
  readonly amount: number
}

interface Paid {
  readonly orderId: string
  readonly amount: number
  readonly status: 'success' | 'failed'
}

const key = 'orderId'
export const OrderCreated = event('order.created', {
  key,
  schema: plain<{ orderId: string; customerId: string; amount: number }>(),
})
export const PaymentProcessed = event('payment.processed', { key, schema: plain<Paid>() })
const PaymentSucceeded = PaymentProcessed.where({ status: 'success' })
const PaymentFailed = PaymentProcessed.where({ status: 'failed' })
export const PaymentRefunded = event('payment.refunded', { key, schema: plain<{ orderId: string; amount: number }>() })
export const InventoryUpdated = event('inventory.updated', { key, schema: plain<{ orderId: string }>() })
export const InventoryRejected = event('inventory.rejected', { key, schema: plain<{ orderId: string }>() })
export const OrderCompleted = event('order.completed', { key, schema: plain<{ orderId: string }>() })
export const OrderCancelled = event('order.cancelled', { key, schema: plain<{ orderId: string; why: string }>() })
/** Several of a customer: shows whether the order of a key is kept. */
export const Noted = event('customer.noted', {
  key: 'customerId',
  schema: plain<{ customerId: string; turn: number }>(),
})

/** No constraint hides a double: every effect is a row of its own. */
export const orderTables = `
  CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, amount INTEGER NOT NULL, state TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS effects (what TEXT NOT NULL, subject TEXT NOT NULL, number INTEGER NOT NULL, event_id TEXT NOT NULL);`

/** Takes orders; has no reactions, so that its process can be killed apart from the others. */
export const shop = service('shop', { db: nodeSqlite() })

export function insertOrder(db: SqliteHandle, order: OrderData): void {
  const insert = db.prepare(`INSERT INTO orders (id, customer_id, amount, state) VALUES (?, ?, ?, 'open')`)
  insert.run(order.id, order.customerId, order.amount)
}

/** What becomes of an order is decided by its id, so that the test knows it. */
export const declined = (orderId: string): boolean => Number(orderId) % 10 === 3
export const soldOut = (orderId: string): boolean => Number(orderId) % 8 === 5

interface Context {
  readonly db: SqliteHandle
  readonly event: { readonly id: string }
}

function effect({ db, event }: Context, what: string, more: { subject: string; number: number }): void {
  const insert = db.prepare('INSERT INTO effects (what, subject, number, event_id) VALUES (?, ?, ?, ?)')
  insert.run(what, more.subject, more.number, event.id)
}

/** One row of one order: completed or cancelled, never both; true when it was still open. */
function close(db: SqliteHandle, orderId: string, state: string): boolean {
  const update = db.prepare(`UPDATE orders SET state = ? WHERE id = ? AND state = 'open'`)
  return update.run(state, orderId).changes === 1
}

const policy = { retry: { attempts: 12, base: 15, max: 120 } }
const db = nodeSqlite()

function paymentService(outside: string): AnyService {
  const world = lazily(outside)
  const answered = () => {
    // The card is charged, and the answer is lost.
    if (Math.random() < 0.06) throw new Error('502 after the charge')
  }
  return service('payments', { db, ...policy }).on(
    OrderCreated,
    {
      emits: [PaymentProcessed],
      concurrency: 8,
      call: async ({ orderId, amount }, { idempotencyKey }) => {
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 12))
        world().prepare(`INSERT INTO calls VALUES (?, ?, 'charge', ?)`).run(idempotencyKey, orderId, process.pid)
        const isDeclined = declined(orderId)
        if (!isDeclined)
          world().prepare('INSERT OR IGNORE INTO charges VALUES (?, ?, ?)').run(idempotencyKey, orderId, amount)
        answered()
        return { status: isDeclined ? ('failed' as const) : ('success' as const) }
      },
      undo: {
        on: [InventoryRejected],
        emits: [PaymentRefunded],
        call: async ({ orderId, amount }, { idempotencyKey, done }) => {
          if (done.status === 'failed') return { refunded: false }
          world().prepare('INSERT OR IGNORE INTO refunds VALUES (?, ?, ?)').run(idempotencyKey, orderId, amount)
          answered()
          return { refunded: true }
        },
        run: ({ orderId, amount }, { db, event, result }) => {
          if (!result.refunded) return []
          effect({ db, event }, 'refund', { subject: orderId, number: amount })
          return PaymentRefunded({ orderId, amount })
        },
      },
    },
    ({ orderId, amount }, { db, event, result }) => {
      effect({ db, event }, 'payment', { subject: orderId, number: amount })
      return PaymentProcessed({ orderId, amount, status: result.status })
    },
  )
}

function inventoryService(): AnyService {
  return service('inventory', { db, ...policy }).on(
    OrderCreated,
    {
      emits: [InventoryUpdated, InventoryRejected],
      undo: {
        on: [PaymentFailed],
        run: ({ orderId }, { db, event }) =>
          soldOut(orderId) ? undefined : effect({ db, event }, 'release', { subject: orderId, number: 1 }),
      },
    },
    ({ orderId }, { db, event }) => {
      if (Math.random() < 0.02) throw new Error('a moment of weakness')
      if (soldOut(orderId)) return InventoryRejected({ orderId })
      effect({ db, event }, 'reserve', { subject: orderId, number: 1 })
      return InventoryUpdated({ orderId })
    },
  )
}

function orderService(): AnyService {
  const cancel = ({ orderId }: { orderId: string }, { db, event }: Context) => {
    if (!close(db, orderId, 'cancelled')) return undefined
    effect({ db, event }, 'cancel', { subject: orderId, number: 1 })
    return OrderCancelled({ orderId, why: 'it can not be fulfilled' })
  }
  return service('orders', { db, ...policy })
    .all([PaymentSucceeded, InventoryUpdated], { emits: [OrderCompleted] }, ([{ orderId }], { db, event }) => {
      if (!close(db, orderId, 'completed')) throw new Error(`${orderId} was closed before it was complete`)
      effect({ db, event }, 'complete', { subject: orderId, number: 1 })
      return OrderCompleted({ orderId })
    })
    .all([OrderCreated, OrderCompleted], { name: 'book', batch: { size: 20 } }, (sold, { db, events }) => {
      for (const [at, [{ orderId }]] of sold.entries()) {
        if (Math.random() < 0.005) throw new Error('a moment of weakness')
        effect({ db, event: events[at]! }, 'book', { subject: orderId, number: 1 })
      }
    })
    .on(PaymentFailed, { emits: [OrderCancelled] }, cancel)
    .on(InventoryRejected, { emits: [OrderCancelled] }, cancel)
}

function notificationService(): AnyService {
  return service('notifications', { db, ...policy })
    .on(OrderCompleted, ({ orderId }, { db, event }) => effect({ db, event }, 'mail', { subject: orderId, number: 1 }))
    .on(OrderCancelled, ({ orderId }, { db, event }) => effect({ db, event }, 'mail', { subject: orderId, number: 1 }))
    .on(Noted, ({ customerId, turn }, { db, event }) => {
      if (Math.random() < 0.03) throw new Error('a moment of weakness')
      effect({ db, event }, 'note', { subject: customerId, number: turn })
    })
}

/** The four services; `outside` is the file of the payment provider. */
export function orderServices(outside: string): AnyService[] {
  return [orderService(), paymentService(outside), inventoryService(), notificationService()]
}
