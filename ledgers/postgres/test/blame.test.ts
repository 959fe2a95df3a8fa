/** Whose failure it is: that of the handler, and neither the connection's nor that of another handler. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { event, service, silentLogger, sleep, start, systemEnv } from 'quadrille'
import { pgClient, postgres, type PostgresHandle, type PostgresOptions } from '@quadrille/postgres'
import * as z from 'zod'
import { onServer, randomName, serverMissing, serverUrl } from './database.ts'

const skip = await serverMissing()

const Asked = event('asked', { key: 'id', schema: z.object({ id: z.string() }) })
const ids = ['a', 'b', 'c', 'd']
const others = ids.slice(1)

type Work = (db: PostgresHandle, id: string) => Promise<unknown> | void

interface Options extends PostgresOptions {
  /** Runs in the handlers of the others, after their statement. */
  readonly behind?: (table: string) => Promise<void>
  /** Default: 2. */
  readonly attempts?: number
}

/** An app whose handler does this for the event `a`, and for all others, one after the other, writes a row. */
async function place(work: Work, { behind, attempts = 2, ...options }: Options = {}) {
  const schema = randomName()
  const table = `"${schema}_user".rows`
  await onServer((client) => client.query(`CREATE SCHEMA "${schema}_user"; CREATE TABLE ${table} (id text)`))
  const retry = { attempts, base: '1ms', max: '1ms' } as const
  const asked = service('asked', { db: pgClient() }).on(Asked, { retry }, async ({ id }, { db }) => {
    if (id === 'a') return void (await work(db, id))
    await db.query(`INSERT INTO ${table} VALUES ($1)`, [id])
    await behind?.(table)
  })
  const app = await start({ services: [asked], ledger: postgres(serverUrl, { ...options, schema }), log: silentLogger })
  return {
    app,
    table,
    /** The rows, and the keys of the dead letters, when all is done. */
    async outcome() {
      await app.publish(ids.map((id) => Asked({ id })))
      await app.quiet()
      const { rows } = await onServer((client) => client.query<{ id: string }>(`SELECT id FROM ${table} ORDER BY id`))
      const letters = await app.deadLetters.list()
      return { rows: rows.map(({ id }) => id), dead: letters.map(({ event }) => event?.key) }
    },
    async [Symbol.asyncDispose]() {
      await app.stop()
      await onServer((client) =>
        client.query(`DROP SCHEMA IF EXISTS "${schema}" CASCADE; DROP SCHEMA "${schema}_user" CASCADE`),
      )
    },
  }
}

describe('a handler that fails like a connection', { skip }, () => {
  const raising = (state: string) => `DO $$ BEGIN RAISE EXCEPTION 'elsewhere' USING ERRCODE = '${state}'; END $$`
  const works: Readonly<Record<string, Work>> = {
    'a wrong number of parameters': (db) => db.query('SELECT $1::text, $2::text', ['only one']),
    'what a foreign server could not be asked': (db) => db.query(raising('08001')),
    'that a foreign server goes down': (db) => db.query(raising('57P01')),
  }
  for (const [what, work] of Object.entries(works)) {
    it(`${what}: has failed, and the others go on`, { timeout: 60_000 }, async () => {
      let tries = 0
      await using there = await place((db, id) => {
        tries += 1
        return work(db, id)
      })
      assert.deepEqual(await there.outcome(), { rows: others, dead: ['a'] })
      // Side by side, then in order; and the second attempt.
      assert.ok(tries <= 4, `${tries} tries`)
    })
  }

  for (const end of ['returns', 'goes on'])
    it(`is quiet for longer than idleTimeout, and ${end}: has failed`, { timeout: 60_000 }, async () => {
      const work: Work = async (db) => {
        const { rows } = await db.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
        await onServer(async (client) => {
          const isThere = () => client.query('SELECT 1 FROM pg_stat_activity WHERE pid = $1', [rows[0]!.pid])
          while ((await isThere()).rows.length > 0) await sleep(systemEnv, 20)
        })
        if (end === 'goes on') await db.query('SELECT 1')
      }
      await using there = await place(work, { idleTimeout: '100ms' })
      assert.deepEqual(await there.outcome(), { rows: others, dead: ['a'] })
      const [letter] = await there.app.deadLetters.list()
      assert.match(JSON.stringify(letter), /idle-in-transaction timeout/)
    })
})

describe('a handler that does not wait for its statements', { skip }, () => {
  const failing = 'INSERT INTO nowhere VALUES (1)'

  it('has failed when one of them fails, and not the next one', { timeout: 60_000 }, async () => {
    await using there = await place((db) => void db.query(failing).catch(() => {}), { attempts: 1 })
    assert.deepEqual(await there.outcome(), { rows: others, dead: ['a'] })
    const [letter] = await there.app.deadLetters.list()
    assert.match(JSON.stringify(letter), /nowhere/)
  })

  it('has what it has sent, when that is right', { timeout: 60_000 }, async () => {
    await using there = await place((db) => void db.query(`INSERT INTO ${there.table} VALUES ($1)`, ['a']))
    assert.deepEqual(await there.outcome(), { rows: ids, dead: [] })
  })

  it('finds its handle closed when it comes back after its end', { timeout: 60_000 }, async () => {
    const kept: PostgresHandle[] = []
    const codes = new Set<unknown>()
    const behind = async (table: string) => {
      const late = kept.map((db) => db.query(`INSERT INTO ${table} VALUES ('late')`))
      for (const end of await Promise.allSettled(late))
        codes.add(end.status === 'fulfilled' ? 'sent' : (end.reason as { code?: unknown }).code)
    }
    await using there = await place((db) => void kept.push(db), { behind })
    assert.deepEqual(await there.outcome(), { rows: others, dead: [] })
    // Side by side somebody has sent since; and then in order.
    assert.deepEqual([...codes], ['HANDLER_RUN_AGAIN', 'HANDLE_CLOSED'])
  })
})
