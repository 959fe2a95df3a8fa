/**
 * What people write by hand who care for speed: a table of deliveries, one row for each subscriber; a worker for each
 * subscriber that claims up to 100 rows with SKIP LOCKED, writes for all of them at once, and commits.
 */
import pg from 'pg'
import { unitsOf, type Order } from '../order.ts'
import { postgresBatchSql, postgresSql, postgresTables, postgresTallyOf } from '../postgres-tables.ts'
import type { OrderSystem, SystemOptions } from './system.ts'

const deliveriesPerCommit = 100
const pollMs = 50
const connections = 20

const deliveryTable = `
  CREATE TABLE delivery (id bigserial PRIMARY KEY, subscriber text NOT NULL, payload jsonb NOT NULL);
  CREATE INDEX ON delivery (subscriber, id);`

const takeSql = `DELETE FROM delivery WHERE id IN (
  SELECT id FROM delivery WHERE subscriber = $1 ORDER BY id LIMIT ${deliveriesPerCommit} FOR UPDATE SKIP LOCKED)
  RETURNING payload`

/** One side of the join by hand: remembers it in the order's row and tells whether the other side is there. */
const joinSql = (side: string, other: string): string =>
  `UPDATE orders SET ${side} = true, status = CASE WHEN ${other} THEN 'completed' ELSE status END,
   completions = completions + CASE WHEN ${other} THEN 1 ELSE 0 END
   WHERE id IN (SELECT id FROM orders WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE) RETURNING id, ${other} AS done`

const subscribersOf = {
  'order.created': ['payment', 'inventory'],
  'payment.processed': ['order.paid'],
  'inventory.updated': ['order.reserved'],
  'order.completed': ['notification'],
} as const
type Topic = keyof typeof subscribersOf
type Subscriber = (typeof subscribersOf)[Topic][number]
type Handler = (client: pg.ClientBase, orders: readonly Order[]) => Promise<unknown>

async function send(client: pg.ClientBase, topic: Topic, payloads: readonly unknown[]): Promise<void> {
  if (payloads.length === 0) return
  await client.query(
    'INSERT INTO delivery (subscriber, payload) SELECT s, p FROM unnest($1::text[]) s, unnest($2::jsonb[]) p',
    [subscribersOf[topic], payloads.map((payload) => JSON.stringify(payload))],
  )
}

const idsOf = (orders: readonly Order[]): string[] => orders.map(({ orderId }) => orderId)

const join =
  (sql: string): Handler =>
  async (client, orders) => {
    const { rows } = await client.query<{ id: string; done: boolean }>(sql, [idsOf(orders)])
    const done = rows.filter((row) => row.done)
    await send(
      client,
      'order.completed',
      done.map(({ id }) => ({ orderId: id })),
    )
  }

const handlers: Readonly<Record<Subscriber, Handler>> = {
  async payment(client, orders) {
    await client.query(postgresBatchSql.pay, [idsOf(orders), orders.map(({ total }) => total)])
    const paid = orders.map(({ orderId, total }) => ({ orderId, amount: total }))
    await send(client, 'payment.processed', paid)
  },
  async inventory(client, orders) {
    const units = orders.map(unitsOf)
    await client.query(postgresBatchSql.reserve, [idsOf(orders), units])
    const reserved = orders.map(({ orderId }, index) => ({ orderId, units: units[index] }))
    await send(client, 'inventory.updated', reserved)
  },
  'order.paid': join(joinSql('paid', 'reserved')),
  'order.reserved': join(joinSql('reserved', 'paid')),
  notification: (client, orders) => client.query(postgresBatchSql.notify, [idsOf(orders)]),
}

async function transaction<T>(pool: pg.Pool, work: (client: pg.ClientBase) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    const result = await work(client)
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK')
    throw error
  } finally {
    client.release()
  }
}

/** Starts the flow on a new database. */
export async function startHandWrittenPostgres({ database, notified }: SystemOptions): Promise<OrderSystem> {
  const pool = new pg.Pool({ connectionString: database, max: connections })
  await pool.query(postgresTables + deliveryTable)
  let stopped = false
  const resting = new Set<() => void>()
  const wake = (): void => resting.forEach((go) => go())

  const take = (subscriber: Subscriber): Promise<Order[]> =>
    transaction(pool, async (client) => {
      const { rows } = await client.query<{ payload: Order }>(takeSql, [subscriber])
      const orders = rows.map(({ payload }) => payload)
      if (orders.length > 0) await handlers[subscriber](client, orders)
      return orders
    })

  const work = async (subscriber: Subscriber): Promise<void> => {
    while (!stopped) {
      const orders = await take(subscriber)
      if (orders.length === 0) await rest(resting)
      else wake()
      if (subscriber === 'notification') for (const { orderId } of orders) notified(orderId)
    }
  }
  const working = (Object.keys(handlers) as Subscriber[]).map(work)
  return {
    async publish(order) {
      await transaction(pool, async (client) => {
        const { orderId, customerId, total } = order
        await client.query(postgresSql.order, [orderId, customerId, total, JSON.stringify(order)])
        await send(client, 'order.created', [order])
      })
      wake()
    },
    async stop() {
      stopped = true
      wake()
      await Promise.all(working)
      await pool.end()
    },
    tally: (prefix) => postgresTallyOf(database, prefix),
  }
}

/** Until woken, or until it is time to look. */
function rest(resting: Set<() => void>): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      clearTimeout(timer)
      resting.delete(go)
      resolve()
    }
    const timer = setTimeout(go, pollMs)
    resting.add(go)
  })
}
