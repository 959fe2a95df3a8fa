/** The order flow in Quadrille on PostgreSQL: four services, and the same with handlers that take up to 100 events, or joins, at once. */
import { pgClient, postgres, type PostgresHandle } from '@quadrille/postgres'
import { service } from 'quadrille'
import { unitsOf } from '../order.ts'
import { runOn } from '../postgres-server.ts'
import { postgresBatchSql, postgresSql, postgresTables, postgresTallyOf } from '../postgres-tables.ts'
import { InventoryUpdated, joinReaction, OrderCompleted, OrderCreated, PaymentProcessed } from './order-contracts.ts'
import type { OrderServices } from './order-services.ts'
import { startFlow, type QuadrilleOptions } from './quadrille.ts'
import type { OrderSystem } from './system.ts'

const db = pgClient()
const batch = { size: 100 }

/** Handlers for one event at a time. */
function oneByOne(): OrderServices<PostgresHandle> {
  const orders = service('orders', { db }).all(
    [PaymentProcessed, InventoryUpdated],
    { name: joinReaction, emits: [OrderCompleted] },
    async ([{ orderId }], { db }) => {
      await db.query(postgresSql.complete, [orderId])
      return OrderCompleted({ orderId })
    },
  )
  const payments = service('payments', { db }).on(
    OrderCreated,
    { emits: [PaymentProcessed] },
    async ({ orderId, total }, { db }) => {
      await db.query(postgresSql.pay, [orderId, total])
      return PaymentProcessed({ orderId, amount: total })
    },
  )
  const inventory = service('inventory', { db }).on(
    OrderCreated,
    { emits: [InventoryUpdated] },
    async (order, { db }) => {
      const units = unitsOf(order)
      await db.query(postgresSql.reserve, [order.orderId, units])
      return InventoryUpdated({ orderId: order.orderId, units })
    },
  )
  const notifications = service('notifications', { db }).on(OrderCompleted, async ({ orderId }, { db }) => {
    await db.query(postgresSql.notify, [orderId])
  })
  return { orders, others: [payments, inventory, notifications] }
}

/** Handlers for up to 100 events, or joins, at a time. */
function inBatches(): OrderServices<PostgresHandle> {
  const orders = service('orders', { db }).all(
    [PaymentProcessed, InventoryUpdated],
    { name: joinReaction, emits: [OrderCompleted], batch },
    async (complete, { db }) => {
      const ids = complete.map(([{ orderId }]) => orderId)
      await db.query(postgresBatchSql.complete, [ids])
      return ids.map((orderId) => OrderCompleted({ orderId }))
    },
  )
  const payments = service('payments', { db }).on(
    OrderCreated,
    { emits: [PaymentProcessed], batch },
    async (created, { db }) => {
      await db.query(postgresBatchSql.pay, [created.map((each) => each.orderId), created.map((each) => each.total)])
      return created.map(({ orderId, total }) => PaymentProcessed({ orderId, amount: total }))
    },
  )
  const inventory = service('inventory', { db }).on(
    OrderCreated,
    { emits: [InventoryUpdated], batch },
    async (created, { db }) => {
      const units = created.map(unitsOf)
      await db.query(postgresBatchSql.reserve, [created.map((each) => each.orderId), units])
      return created.map(({ orderId }, index) => InventoryUpdated({ orderId, units: units[index]! }))
    },
  )
  const notifications = service('notifications', { db }).on(OrderCompleted, { batch }, async (completed, { db }) => {
    await db.query(postgresBatchSql.notify, [completed.map((each) => each.orderId)])
  })
  return { orders, others: [payments, inventory, notifications] }
}

/** Makes the services' tables in a new database. */
export const createPostgresTables = (database: string): Promise<unknown> => runOn(database, postgresTables)

/** Starts the flow on a database in which the services' tables are. */
export function startQuadrillePostgres(options: QuadrilleOptions): Promise<OrderSystem> {
  const { database } = options
  return startFlow<PostgresHandle>(options, {
    services: options.batches ? inBatches() : oneByOne(),
    ledger: postgres(database),
    save: (db, { orderId, customerId, total, ...order }) =>
      db.query(postgresSql.order, [
        orderId,
        customerId,
        total,
        JSON.stringify({ orderId, customerId, total, ...order }),
      ]),
    tally: (prefix) => postgresTallyOf(database, prefix),
  })
}
