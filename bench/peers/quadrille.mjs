// Quadrille on PostgreSQL for the harness of peers: the same business statements as every other system there.
// BATCHED=1: payments, inventory and notifications take up to 100 events at once.
import { event, service, start } from 'quadrille'
import { pgClient, postgres } from '@quadrille/postgres'
import * as z from 'zod'
import { biz, cfg, makePool, pgStats, resetBiz } from '../workload.mjs'

export const info = { name: 'Quadrille', store: 'PostgreSQL', guarantee: 'effects, events and progress in one tx' }
export const servers = ['postgres']

const order = z.object({
  orderId: z.string(),
  customerId: z.string(),
  currency: z.string(),
  total: z.number(),
  lines: z.array(z.object({ sku: z.string(), qty: z.int(), price: z.number(), title: z.string() })),
  shipTo: z.string(),
  placedAt: z.string(),
})
const named = (type, schema) => event(type, { key: 'orderId', schema })
const Created = named('order.created', order)
const Paid = named('payment.processed', z.object({ orderId: z.string(), paymentId: z.string(), amount: z.number() }))
const Reserved = named(
  'inventory.updated',
  z.object({ orderId: z.string(), reservationId: z.string(), units: z.number() }),
)
const Completed = named('order.completed', z.object({ orderId: z.string(), completedAt: z.number() }))

const db = pgClient()
const batch = { size: 100 }
const publisher = service('publisher', { db })
const orders = service('orders', { db }).all(
  [Paid, Reserved],
  { emits: [Completed] },
  async ([{ orderId }], { db }) => {
    await db.query(
      `UPDATE biz.orders SET paid = true, reserved = true, status = 'completed', completions = completions + 1 WHERE id = $1`,
      [orderId],
    )
    return Completed({ orderId, completedAt: Date.now() })
  },
)

const oneByOne = () => [
  service('payments', { db }).on(Created, { emits: [Paid] }, async (o, { db }) => Paid(await biz.pay(db, o))),
  service('inventory', { db }).on(Created, { emits: [Reserved] }, async (o, { db }) =>
    Reserved(await biz.reserve(db, o)),
  ),
  service('notifications', { db }).on(Completed, async (e, { db }) => void (await biz.notify(db, e))),
]

const unitsOf = (o) => o.lines.reduce((sum, line) => sum + line.qty, 0)
const idsOf = (list) => list.map((each) => each.orderId)
const batched = () => [
  service('payments', { db }).on(Created, { emits: [Paid], batch }, async (list, { db }) => {
    await db.query(
      `INSERT INTO biz.payments(order_id, amount) SELECT * FROM unnest($1::text[], $2::int[])
       ON CONFLICT (order_id) DO UPDATE SET times = payments.times + 1`,
      [idsOf(list), list.map((o) => o.total)],
    )
    return list.map((o) => Paid({ orderId: o.orderId, paymentId: `pay-${o.orderId}`, amount: o.total }))
  }),
  service('inventory', { db }).on(Created, { emits: [Reserved], batch }, async (list, { db }) => {
    await db.query(
      `INSERT INTO biz.reservations(order_id, units) SELECT * FROM unnest($1::text[], $2::int[])
       ON CONFLICT (order_id) DO UPDATE SET times = reservations.times + 1`,
      [idsOf(list), list.map(unitsOf)],
    )
    return list.map((o) => Reserved({ orderId: o.orderId, reservationId: `res-${o.orderId}`, units: unitsOf(o) }))
  }),
  service('notifications', { db }).on(Completed, { batch }, async (list, { db }) => {
    await db.query(
      `INSERT INTO biz.notifications(order_id) SELECT * FROM unnest($1::text[])
       ON CONFLICT (order_id) DO UPDATE SET times = notifications.times + 1`,
      [idsOf(list)],
    )
  }),
]

export async function create({ onCompleted }) {
  const pool = makePool(4)
  let app
  const hooks = { handled: ({ service, event }) => service === 'notifications' && onCompleted(event.key) }
  return {
    async reset() {
      await resetBiz(pool)
      await pool.query('DROP SCHEMA IF EXISTS quadrille CASCADE')
    },
    async start(consume) {
      const consumers = process.env.BATCHED ? batched() : oneByOne()
      app = await start({
        services: consume ? [publisher, orders, ...consumers] : [publisher],
        ledger: postgres(cfg.PG),
        hooks,
      })
    },
    publish: (o) =>
      app.transact(publisher, async ({ db }) => {
        await biz.createOrder(db, o)
        return Created(o)
      }),
    async stop() {
      await app.stop()
      await pool.end()
    },
    stats: () => pgStats(pool),
  }
}
