/** `append(tx, event)` in a transaction that the user has opened, with each of the usual libraries. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { sql as drizzleSql } from 'drizzle-orm'
import { drizzle as drizzlePg } from 'drizzle-orm/node-postgres'
import { drizzle as drizzleJs } from 'drizzle-orm/postgres-js'
import { CamelCasePlugin, Kysely, PostgresDialect, sql as kyselySql } from 'kysely'
import pg from 'pg'
import postgresJs from 'postgres'
import { event, isQuadrilleError, service, silentLogger, start, type App, type Token, type Tracing } from 'quadrille'
import { append, postgres, type OpenTransaction } from '@quadrille/postgres'
import * as z from 'zod'
import { onServer, randomName, serverMissing, serverUrl } from './database.ts'

const skip = await serverMissing()
// With what a library might take for a parameter in its name.
const schema = `${randomName()}$1`
const notes = `"${schema}_user".notes`
const Noted = event('noted', { key: 'id', schema: z.object({ id: z.string(), text: z.string() }) })

/** How a library opens a transaction, runs SQL in it, and what it has outside of one. */
interface Library {
  readonly name: string
  readonly transaction: <T>(
    work: (tx: OpenTransaction, run: (text: string) => Promise<unknown>) => Promise<T>,
  ) => Promise<T>
  readonly outside: OpenTransaction
}

describe('append() in a transaction of the user', { skip, concurrency: false }, () => {
  let app: App
  const seen: string[] = []
  const pool = new pg.Pool({ connectionString: serverUrl, max: 2 })
  const sql = postgresJs(serverUrl, { max: 2, onnotice: () => {} })
  const kysely = new Kysely<object>({ dialect: new PostgresDialect({ pool }), plugins: [new CamelCasePlugin()] })
  const [onPg, onJs] = [drizzlePg(pool), drizzleJs(sql)]

  const libraries: readonly Library[] = [
    {
      name: 'pg',
      outside: pool,
      transaction: async (work) => {
        const client = await pool.connect()
        try {
          await client.query('BEGIN')
          const value = await work(client, (text) => client.query(text))
          await client.query('COMMIT')
          return value
        } catch (error) {
          await client.query('ROLLBACK')
          throw error
        } finally {
          client.release()
        }
      },
    },
    {
      name: 'postgres.js',
      outside: sql,
      transaction: async (work) => (await sql.begin((tx) => work(tx, async (text) => tx.unsafe(text)))) as never,
    },
    {
      name: 'Kysely',
      outside: kysely,
      transaction: (work) => kysely.transaction().execute((tx) => work(tx, (text) => kyselySql.raw(text).execute(tx))),
    },
    {
      name: 'Drizzle on pg',
      outside: onPg,
      transaction: (work) => onPg.transaction((tx) => work(tx, async (text) => tx.execute(drizzleSql.raw(text)))),
    },
    {
      name: 'Drizzle on postgres.js',
      outside: onJs,
      transaction: (work) => onJs.transaction((tx) => work(tx, async (text) => tx.execute(drizzleSql.raw(text)))),
    },
  ]

  before(async () => {
    await onServer((client) =>
      client.query(`CREATE SCHEMA "${schema}_user"; CREATE TABLE ${notes} (id text PRIMARY KEY)`),
    )
    const reader = service('reader').on(Noted, ({ id, text }) => void seen.push(`${id}: ${text}`))
    app = await start({ services: [reader], ledger: postgres(serverUrl, { schema }), log: silentLogger })
  })

  after(async () => {
    await app.stop()
    await kysely.destroy()
    await sql.end()
    await onServer((client) => client.query(`DROP SCHEMA "${schema}" CASCADE; DROP SCHEMA "${schema}_user" CASCADE`))
  })

  const note = (id: string) => Noted({ id, text: `it's "quoted" \\ $1 \u0000 💃` })
  const rows = () =>
    onServer(async (client) => (await client.query<{ id: string }>(`SELECT id FROM ${notes} ORDER BY id`)).rows)
  const events = async () => (await app.ledger.read({ after: 0, limit: 500 })).events

  for (const { name, transaction, outside } of libraries) {
    describe(name, () => {
      it('commits the event with the rows, and it is handled', async () => {
        const id = `${name} kept`
        const token: Token = await transaction(async (tx, run) => {
          await run(`INSERT INTO ${notes} VALUES ('${id}')`)
          return append(tx, note(id), { schema, source: 'notes' })
        })
        await app.seen(token, 'reader', { timeout: '10s' })
        assert.ok(seen.includes(`${id}: it's "quoted" \\ $1 \u0000 💃`), seen.join())
        const found = (await events()).find((each) => each.key === id)!
        assert.deepEqual([found.source, found.position], ['notes', token.events[0]!.position])
      })

      it('leaves nothing when it is rolled back, and nothing of a savepoint that is', async () => {
        const failing = transaction(async (tx, run) => {
          await run(`INSERT INTO ${notes} VALUES ('${name} lost')`)
          await append(tx, note(`${name} lost`), { schema })
          throw new Undo()
        })
        await assert.rejects(failing, Undo)
        await transaction(async (tx, run) => {
          await append(tx, note(`${name} outer`), { schema })
          await run('SAVEPOINT part')
          await append(tx, [note(`${name} inner`), note(`${name} inner too`)], { schema })
          await run('ROLLBACK TO SAVEPOINT part')
          await append(tx, note(`${name} last`), { schema })
        })
        const keys = (await events()).map(({ key }) => key).filter((key) => key.startsWith(`${name} `))
        assert.deepEqual(keys, [`${name} kept`, `${name} outer`, `${name} last`])
        assert.ok(!(await rows()).some(({ id }) => id === `${name} lost`))
      })

      it('appends what is appended twice without waiting', async () => {
        const ids = [`${name} both`, `${name} of them`]
        await transaction((tx) => Promise.all(ids.map((id) => append(tx, note(id), { schema }))))
        const keys = (await events()).map(({ key }) => key).filter((key) => ids.includes(key))
        assert.deepEqual(keys.sort(), ids)
      })

      it('is refused where no transaction is open, and appends nothing', async () => {
        const before = (await events()).length
        await assert.rejects(append(outside, note('never'), { schema }), (error) =>
          isQuadrilleError(error, 'APPEND_OUTSIDE_TRANSACTION'),
        )
        assert.equal((await events()).length, before)
      })
    })
  }

  it('takes the answer under whatever name the library gives it', async () => {
    const pascal = postgresJs(serverUrl, { max: 1, transform: postgresJs.toPascal as never, onnotice: () => {} })
    const cased = postgresJs(serverUrl, { max: 1, transform: postgresJs.pascal, onnotice: () => {} })
    for (const client of [pascal, cased]) {
      const token = (await client.begin((tx) => append(tx, note('named'), { schema }))) as Token
      assert.equal(token.events.length, 1)
      await client.end()
    }
  })

  it('carries the trace context of its caller', async () => {
    const tracing: Tracing = {
      traceContext: ({ type, source }) => ({ traceparent: `${source} ${type}`, tracestate: 'a=1' }),
      begin: () => ({ context: undefined, inside: (work) => work(), ended: () => {} }),
    }
    await libraries[0]!.transaction((tx) => append(tx, note('traced'), { schema, source: 'me', tracing }))
    const traced = (await events()).find(({ key }) => key === 'traced')
    assert.deepEqual([traced?.traceparent, traced?.tracestate], ['me noted', 'a=1'])
  })

  it('is refused for what is no transaction at all, and for what no contract has made', async () => {
    await assert.rejects(append({} as never, note('never')), (error) => isQuadrilleError(error, 'OPTION_INVALID'))
    await assert.rejects(append(pool, { type: 'noted' } as never), (error) =>
      isQuadrilleError(error, 'EVENT_FOREIGN_VALUE'),
    )
    assert.deepEqual(await append(pool, []), { correlationId: '', events: [] })
  })
})

/** Thrown by works on purpose. */
class Undo extends Error {}
