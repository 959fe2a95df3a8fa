/** The order flow in Quadrille on SQLite: four services, and the same with handlers that take up to 100 events, or joins, at once. */
import { service, type Service } from 'quadrille'
import { nodeSqlite, type SqliteHandle } from 'quadrille/sqlite'
import { unitsOf } from '../order.ts'
import { orderSql } from '../order-tables.ts'
import { InventoryUpdated, joinReaction, OrderCompleted, OrderCreated, PaymentProcessed } from './order-contracts.ts'

/** The services of the flow; orders are placed through `orders`. */
export interface OrderServices<Db> {
  readonly orders: Service<Db>
  readonly others: readonly Service<Db>[]
}

/** Handlers for one event at a time. */
export function oneByOne(): OrderServices<SqliteHandle> {
  const orders = service('orders', { db: nodeSqlite() }).all(
    [PaymentProcessed, InventoryUpdated],
    { name: joinReaction, emits: [OrderCompleted] },
    ([{ orderId }], { db }) => {
      db.prepare(orderSql.complete).run(orderId)
      return OrderCompleted({ orderId })
    },
  )
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
  return { orders, others: [payments, inventory, notifications] }
}

/** Handlers for up to 100 events, or joins, at a time. */
export function inBatches(): OrderServices<SqliteHandle> {
  const batch = { size: 100 }
  const orders = service('orders', { db: nodeSqlite() }).all(
    [PaymentProcessed, InventoryUpdated],
    { name: joinReaction, emits: [OrderCompleted], batch },
    (complete, { db }) => {
      const update = db.prepare(orderSql.complete)
      return complete.map(([{ orderId }]) => {
        update.run(orderId)
        return OrderCompleted({ orderId })
      })
    },
  )
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
  return { orders, others: [payments, inventory, notifications] }
}
