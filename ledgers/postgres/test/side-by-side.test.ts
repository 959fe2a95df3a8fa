/** Handlers and transactions that run side by side on PostgreSQL: as if they had run one after the other. */
import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, it } from 'node:test'
import { event, service, start, type App, type Service, type StartOptions } from 'quadrille'
import { pgClient, postgres, type PostgresHandle } from '@quadrille/postgres'
import * as z from 'zod'
import { onServer, randomName, serverMissing, serverUrl } from './database.ts'

const skip = await serverMissing()

const Wanted = event('wanted', { key: 'id', schema: z.object({ id: z.string() }) })
const Given = event('given', { key: 'id', schema: z.object({ id: z.string(), left: z.number() }) })
const ids = Array.from({ length: 60 }, (_, index) => `w-${String(index).padStart(3, '0')}`)

/** A schema with a stock of 100 and a table of what was given. */
async function place() {
  const schema = randomName()
  await onServer((client) =>
    client.query(`CREATE SCHEMA "${schema}_user"; CREATE TABLE "${schema}_user".stock (id int PRIMARY KEY, units int);
      INSERT INTO "${schema}_user".stock VALUES (1, 100);
      CREATE TABLE "${schema}_user".given (id text PRIMARY KEY, times int NOT NULL DEFAULT 1, tenant text)`),
  )
  return {
    stock: `"${schema}_user".stock`,
    given: `"${schema}_user".given`,
    app: (services: Service<PostgresHandle>[], more: Partial<StartOptions> = {}) =>
      start({ services, ledger: postgres(serverUrl, { schema }), ...more }),
    rows: <Row extends object>(sql: string) =>
      onServer(async (client) => (await client.query<Row>(sql.replaceAll('user.', `"${schema}_user".`))).rows),
    async [Symbol.asyncDispose]() {
      await onServer((client) =>
        client.query(`DROP SCHEMA IF EXISTS "${schema}" CASCADE; DROP SCHEMA "${schema}_user" CASCADE`),
      )
    },
  }
}

const insertInto = (table: string): string =>
  `INSERT INTO ${table} (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET times = given.times + 1`

async function allSeen(app: App, taker: Service<PostgresHandle>): Promise<void> {
  await app.seen(await app.publish(ids.map((id) => Wanted({ id }))), taker, { timeout: '20s' })
}

describe('handlers of one batch', { skip }, () => {
  it('that read, think and write see what those before them have written', async () => {
    await using there = await place()
    let most = 0
    const giver = service('giver', { db: pgClient() }).on(Wanted, { emits: [Given] }, async ({ id }, { db }) => {
      const { rows } = await db.query<{ units: number }>(`SELECT units FROM ${there.stock} WHERE id = 1`)
      most = Math.max(most, rows[0]!.units)
      const left = rows[0]!.units - 1
      await db.query(`UPDATE ${there.stock} SET units = $1 WHERE id = 1`, [left])
      return Given({ id, left })
    })
    const app = await there.app([giver])
    await allSeen(app, giver)
    await app.stop()
    assert.equal(most, 100)
    assert.deepEqual(await there.rows('SELECT units FROM user.stock'), [{ units: 100 - ids.length }])
  })

  it('send a savepoint of their own without undoing the work of others', async () => {
    await using there = await place()
    const taker = service('taker', { db: pgClient() }).on(Wanted, async ({ id }, { db }) => {
      await Promise.all([db.query('SAVEPOINT mine'), db.query(insertInto(there.given), [id])])
      if (id < ids[30]!) await db.query('ROLLBACK TO SAVEPOINT mine')
    })
    const app = await there.app([taker])
    await allSeen(app, taker)
    await app.stop()
    const found = await there.rows<{ id: string; times: number }>('SELECT id, times FROM user.given ORDER BY id')
    assert.deepEqual(
      found,
      ids.slice(30).map((id) => ({ id, times: 1 })),
    )
  })

  it('of which one fails: it alone is blamed, and each of the others has its effect once', async () => {
    await using there = await place()
    const attempts = new Map<string, number>()
    const taker = service('taker', { db: pgClient() }).on(
      Wanted,
      { retry: { attempts: 3, base: '5ms' } },
      async ({ id }, { db, attempt }) => {
        await db.query(insertInto(there.given), [id])
        attempts.set(id, Math.max(attempt, attempts.get(id) ?? 0))
        if (id === ids[20] && attempt < 2) await db.query('SELECT 1 / 0')
      },
    )
    const app = await there.app([taker])
    await allSeen(app, taker)
    assert.deepEqual(await app.deadLetters.list(), [])
    await app.stop()
    const blamed = [...attempts].filter(([, attempt]) => attempt > 1).map(([id]) => id)
    assert.deepEqual(blamed, [ids[20]])
    const found = await there.rows<{ id: string; times: number }>('SELECT id, times FROM user.given ORDER BY id')
    assert.deepEqual(
      found,
      ids.map((id) => ({ id, times: 1 })),
    )
  })
})

describe('transactions that come at the same time', { skip }, () => {
  const orders = service('orders', { db: pgClient() })

  it('share commits, and each gets its own events back', async () => {
    await using there = await place()
    const app = await there.app([orders])
    const tokens = await Promise.all(
      ids.map((id) =>
        app.transact(orders, async ({ db }) => {
          await db.query(insertInto(there.given), [id])
          return [Wanted({ id }), Given({ id, left: 1 })]
        }),
      ),
    )
    await app.stop()
    tokens.forEach(({ events }, index) => {
      assert.deepEqual(
        events.map(({ key }) => key),
        [ids[index], ids[index]],
      )
    })
    const positions = tokens.flatMap(({ events }) => events.map(({ position }) => position))
    assert.deepEqual(
      positions,
      positions.toSorted((a, b) => a - b),
    )
    const [found] = await there.rows<{ rows: number; commits: number }>(
      'SELECT count(*)::int AS rows, count(DISTINCT xmin::text)::int AS commits FROM user.given',
    )
    assert.equal(found!.rows, ids.length)
    assert.ok(found!.commits < ids.length / 4, `${found!.commits} commits for ${ids.length} transactions`)
  })

  it('fail alone, whether before their first statement or after it', async () => {
    await using there = await place()
    const app = await there.app([orders])
    for (const fails of ['early', 'late', 'in the database']) {
      const results = await Promise.allSettled(
        ids.map((id, index) =>
          app.transact(orders, async ({ db }) => {
            const wrong = index === 30 && fails
            if (wrong === 'early') throw new Error(wrong)
            await db.query(insertInto(there.given), [`${fails} ${id}`])
            if (wrong === 'late') throw new Error(wrong)
            if (wrong) await db.query('SELECT 1 / 0')
            return Wanted({ id })
          }),
        ),
      )
      assert.deepEqual(
        results.map(({ status }) => status).filter((status) => status === 'rejected'),
        ['rejected'],
        fails,
      )
      assert.equal(results[30]!.status, 'rejected')
      const [found] = await there.rows<{ rows: number; most: number }>(
        `SELECT count(*)::int AS rows, max(times) AS most FROM user.given WHERE id LIKE '${fails}%'`,
      )
      assert.deepEqual(found, { rows: ids.length - 1, most: 1 }, fails)
    }
    await app.stop()
  })

  it('that lock a row, read it and write it lose no update', async () => {
    await using there = await place()
    const app = await there.app([orders])
    await Promise.all(
      ids.map((id) =>
        app.transact(orders, async ({ db }) => {
          const { rows } = await db.query<{ units: number }>(`SELECT units FROM ${there.stock} WHERE id = 1 FOR UPDATE`)
          await db.query(`UPDATE ${there.stock} SET units = $1 WHERE id = 1`, [rows[0]!.units - 1])
          return Wanted({ id })
        }),
      ),
    )
    await app.stop()
    assert.deepEqual(await there.rows('SELECT units FROM user.stock'), [{ units: 100 - ids.length }])
  })

  it('keep their settings to themselves', async () => {
    await using there = await place()
    const app = await there.app([orders])
    await Promise.all(
      ids.map((id, index) =>
        app.transact(orders, async ({ db }) => {
          // Sent at once, so that nothing but the kind of statement tells that they belong together.
          const setting = index % 2 ? [db.query(`SELECT set_config('quadrille_test.tenant', $1, true)`, [id])] : []
          const insert = `INSERT INTO ${there.given} (id, tenant) VALUES ($1, current_setting('quadrille_test.tenant', true))`
          await Promise.all([...setting, db.query(insert, [id])])
        }),
      ),
    )
    await app.stop()
    const found = await there.rows<{ id: string; tenant: string | null }>(
      'SELECT id, tenant FROM user.given ORDER BY id',
    )
    assert.deepEqual(
      found.map(({ tenant }) => tenant || null),
      ids.map((id, index) => (index % 2 ? id : null)),
    )
  })

  it('run in the asynchronous context of their callers', async () => {
    await using there = await place()
    const app = await there.app([orders])
    const request = new AsyncLocalStorage<string>()
    const seen = await Promise.all(
      ids.map((id) =>
        request.run(id, async () => {
          let found: string | undefined
          await app.transact(orders, async ({ db }) => {
            await db.query(insertInto(there.given), [id])
            found = request.getStore()
          })
          return found
        }),
      ),
    )
    await app.stop()
    assert.deepEqual(seen, ids)
  })

  it('do not wait for one that is under way and takes its time', async () => {
    await using there = await place()
    const app = await there.app([orders])
    const gate = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    const held = app.transact(orders, async ({ db }) => {
      await db.query(insertInto(there.given), ['held'])
      begun.resolve()
      await gate.promise
    })
    await begun.promise
    await app.transact(orders, async ({ db }) => {
      await db.query(insertInto(there.given), ['quick'])
    })
    gate.resolve()
    await held
    await app.stop()
    assert.equal((await there.rows('SELECT FROM user.given')).length, 2)
  })
})
