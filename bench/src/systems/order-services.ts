/** The order flow in Quadrille: contracts, four services, and the same with handlers that take up to 100 events at once. */
import { event, service, type Service } from 'quadrille'
import { nodeSqlite, type SqliteHandle } from 'quadrille/sqlite'
import * as z from 'zod'
import { unitsOf } from '../order.ts'
import { orderSql } from '../order-tables.ts'

const lineSchema = z.object({ sku: z.string(), qty: z.int().positive(), price: z.number(), title: z.string() })

export const OrderCreated = event('order.created', {
  key: 'orderId',
  schema: z.object({
    orderId: z.string(),
    customerId: z.string(),
    currency: z.string().length(3),
    total: z.number().nonnegative(),
    lines: z.array(lineSchema),
    shipTo: z.string(),
    placedAt: z.string(),
  }),
})
export const PaymentProcessed = event('payment.processed', {
  key: 'orderId',
  schema: z.object({ orderId: z.string(), amount: z.number() }),
})
export const InventoryUpdated = event('inventory.updated', {
  key: 'orderId',
  schema: z.object({ orderId: z.string(), units: z.int() }),
})
export const OrderCompleted = event('order.completed', {
  key: 'orderId',
  schema: z.object({ orderId: z.string() }),
})

/** The name of the reaction that completes an order. */
export const joinReaction = 'completion'

/** The services of the flow; orders are placed through `orders`. */
export interface OrderServices {
  readonly orders: Service<SqliteHandle>
  readonly others: readonly Service<SqliteHandle>[]
}

const orders = (): Service<SqliteHandle> =>
  service('orders', { db: nodeSqlite() }).all(
    [PaymentProcessed, InventoryUpdated],
    { name: joinReaction, emits: [OrderCompleted] },
    ([{ orderId }], { db }) => {
      db.prepare(orderSql.complete).run(orderId)
      return OrderCompleted({ orderId })
    },
  )

/** Handlers for one event at a time. */
export function oneByOne(): OrderServices {
  const payments = service('payments', { db: nodeSqlite() }).on(
    OrderCreated,
    { emits: [PaymentProcessed] },
    ({ orderId, total }, { db }) => {
      db.prepare(orderSql.pay).run(orderId, total)
      return PaymentProcessed({ orderId, amount: total })
    },
  )
  const inventory = service('inventory', { db: nodeSqlite() }).on(
    OrderCreated,
    { emits: [InventoryUpdated] },
    (order, { db }) => {
      const units = unitsOf(order)
      db.prepare(orderSql.reserve).run(order.orderId, units)
      return InventoryUpdated({ orderId: order.orderId, units })
    },
  )
  const notifications = service('notifications', { db: nodeSqlite() }).on(OrderCompleted, ({ orderId }, { db }) => {
    db.prepare(orderSql.notify).run(orderId)
  })
  return { orders: orders(), others: [payments, inventory, notifications] }
}

/** Handlers for up to 100 events at a time. */
export function inBatches(): OrderServices {
  const batch = { size: 100 }
  const payments = service('payments', { db: nodeSqlite() }).on(
    OrderCreated,
    { emits: [PaymentProcessed], batch },
    (created, { db }) => {
      const pay = db.prepare(orderSql.pay)
      return created.map(({ orderId, total }) => {
        pay.run(orderId, total)
        return PaymentProcessed({ orderId, amount: total })
      })
    },
  )
  const inventory = service('inventory', { db: nodeSqlite() }).on(
    OrderCreated,
    { emits: [InventoryUpdated], batch },
    (created, { db }) => {
      const reserve = db.prepare(orderSql.reserve)
      return created.map((order) => {
        const units = unitsOf(order)
        reserve.run(order.orderId, units)
        return InventoryUpdated({ orderId: order.orderId, units })
      })
    },
  )
  const notifications = service('notifications', { db: nodeSqlite() }).on(
    OrderCompleted,
    { batch },
    (completed, { db }) => {
      const notify = db.prepare(orderSql.notify)
      for (const { orderId } of completed) notify.run(orderId)
    },
  )
  return { orders: orders(), others: [payments, inventory, notifications] }
}
