/** Batches of several services in one transaction of PostgreSQL: fewer commits, and otherwise nothing that anybody notices. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { event, service, start, systemEnv, type App, type Service } from 'quadrille'
import { pgClient, postgres, type PostgresHandle } from '@quadrille/postgres'
import * as z from 'zod'
import { onServer, randomName, serverMissing, serverUrl } from './database.ts'

const skip = await serverMissing()

const schema = z.object({ id: z.string() })
const Placed = event('placed', { key: 'id', schema })
const Paid = event('paid', { key: 'id', schema })
const Reserved = event('reserved', { key: 'id', schema })
const Completed = event('completed', { key: 'id', schema })
const ids = Array.from({ length: 40 }, (_, index) => `o-${index}`)

/** Tables of effects, and a stock of 1,000. */
async function place() {
  const name = randomName()
  const tables = ['payments', 'reservations', 'ends']
  const own = `"${name}_user"`
  await onServer((client) =>
    client.query(`CREATE SCHEMA ${own}; CREATE TABLE ${own}.stock (id int PRIMARY KEY, units int);
      INSERT INTO ${own}.stock VALUES (1, 1000);
      ${tables.map((table) => `CREATE TABLE ${own}.${table} (id text PRIMARY KEY, times int NOT NULL DEFAULT 1);`).join('')}`),
  )
  return {
    stock: `${own}.stock`,
    insert: (db: PostgresHandle, table: string, id: string) =>
      db.query(
        `INSERT INTO ${own}.${table} (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET times = ${table}.times + 1`,
        [id],
      ),
    app: (services: Service<PostgresHandle>[]) =>
      start({ services, ledger: postgres(serverUrl, { schema: name }), env }),
    rows: <Row extends object>(sql: string) =>
      onServer(async (client) => (await client.query<Row>(sql.replaceAll('user.', `${own}.`))).rows),
    async [Symbol.asyncDispose]() {
      await onServer((client) => client.query(`DROP SCHEMA IF EXISTS "${name}" CASCADE; DROP SCHEMA ${own} CASCADE`))
    },
  }
}

/** One order after the other, so that batches are small and quick. */
async function placeAll(app: App): Promise<void> {
  for (const id of ids) {
    await app.publish(Placed({ id }))
    await app.quiet()
  }
}

/** Slow batches do not share, so on a busy machine none would: here they take a hundredth of their time. */
const env = { ...systemEnv, elapsed: () => systemEnv.elapsed() / 100 }

const once = ids.map((id) => ({ id, times: 1 })).toSorted((a, b) => (a.id < b.id ? -1 : 1))

describe('batches of several services that come at the same time', { skip }, () => {
  it('commit together, and a join gets both of its parts at once', async () => {
    await using there = await place()
    const db = pgClient()
    const payments = service('payments', { db }).on(Placed, { emits: [Paid] }, async ({ id }, { db }) => {
      await there.insert(db, 'payments', id)
      return Paid({ id })
    })
    const inventory = service('inventory', { db }).on(Placed, { emits: [Reserved] }, async ({ id }, { db }) => {
      await there.insert(db, 'reservations', id)
      return Reserved({ id })
    })
    const orders = service('orders', { db }).all([Paid, Reserved], { emits: [Completed] }, async ([{ id }], { db }) => {
      await there.insert(db, 'ends', id)
      return Completed({ id })
    })
    const app = await there.app([payments, inventory, orders])
    await placeAll(app)
    await app.stop()
    for (const table of ['payments', 'reservations', 'ends'])
      assert.deepEqual(await there.rows(`SELECT id, times FROM user.${table} ORDER BY id COLLATE "C"`), once, table)
    const [found] = await there.rows<{ together: number }>(
      'SELECT count(*)::int AS together FROM user.payments JOIN user.reservations USING (id) WHERE payments.xmin = reservations.xmin',
    )
    assert.ok(found!.together > ids.length / 2, `${found!.together} of ${ids.length} committed together`)
  })

  it('fail alone: the effect of the other is there once, and the attempts of the one that failed are right', async () => {
    await using there = await place()
    const db = pgClient()
    const failed = new Map<string, number[]>()
    const payments = service('payments', { db }).on(
      Placed,
      { retry: { attempts: 3, base: '1ms' } },
      async ({ id }, { db, attempt }) => {
        await there.insert(db, 'payments', id)
        failed.set(id, [...(failed.get(id) ?? []), attempt])
        if (id.endsWith('7') && attempt < 3) await db.query('SELECT 1 / 0')
      },
    )
    const inventory = service('inventory', { db }).on(Placed, async ({ id }, { db }) => {
      await there.insert(db, 'reservations', id)
    })
    const app = await there.app([payments, inventory])
    await placeAll(app)
    assert.deepEqual(await app.deadLetters.list(), [])
    await app.stop()
    for (const table of ['payments', 'reservations'])
      assert.deepEqual(await there.rows(`SELECT id, times FROM user.${table} ORDER BY id COLLATE "C"`), once, table)
    for (const [id, attempts] of failed)
      assert.deepEqual([...new Set(attempts)], id.endsWith('7') ? [1, 2, 3] : [1], `attempts of ${id}`)
  })

  it('that lock the same row, read it and write it lose no update', async () => {
    await using there = await place()
    const takerOf = (name: string) =>
      service(name, { db: pgClient() }).on(Placed, async (_, { db }) => {
        const { rows } = await db.query<{ units: number }>(`SELECT units FROM ${there.stock} WHERE id = 1 FOR UPDATE`)
        await db.query(`UPDATE ${there.stock} SET units = $1 WHERE id = 1`, [rows[0]!.units - 1])
      })
    const takers = ['one', 'two', 'three'].map(takerOf)
    const app = await there.app(takers)
    await placeAll(app)
    await app.stop()
    assert.deepEqual(await there.rows('SELECT units FROM user.stock'), [{ units: 1000 - 3 * ids.length }])
  })
})
