/** What only the commit tells: a deferred constraint, or a statement that nobody has waited for. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { event, service, start, type Service } from 'quadrille'
import { pgClient, postgres, type PostgresHandle } from '@quadrille/postgres'
import * as z from 'zod'
import { onServer, randomName, serverMissing, serverUrl } from './database.ts'

const skip = await serverMissing()

const Wanted = event('wanted', { key: 'id', schema: z.object({ id: z.string(), parent: z.number() }) })
const wanted = Array.from({ length: 20 }, (_, at) => Wanted({ id: `w-${at}`, parent: at === 7 ? 2 : 1 }))

/** A table whose rows must have a parent by the time of the commit; there is only parent 1. */
async function place() {
  const schema = randomName()
  const table = `"${schema}_user".child`
  await onServer((client) =>
    client.query(`CREATE SCHEMA "${schema}_user"; CREATE TABLE "${schema}_user".parent (id int PRIMARY KEY);
      INSERT INTO "${schema}_user".parent VALUES (1);
      CREATE TABLE ${table} (id text PRIMARY KEY, parent int CHECK (parent > 0)
        REFERENCES "${schema}_user".parent DEFERRABLE INITIALLY DEFERRED)`),
  )
  return {
    table,
    start: (services: Service<PostgresHandle>[]) =>
      start({ services, ledger: postgres(serverUrl, { schema }), log: silent }),
    ids: () => onServer(async (client) => (await client.query<{ id: string }>(`SELECT id FROM ${table}`)).rows.length),
    async [Symbol.asyncDispose]() {
      await onServer((client) =>
        client.query(`DROP SCHEMA IF EXISTS "${schema}" CASCADE; DROP SCHEMA "${schema}_user" CASCADE`),
      )
    },
  }
}

const silent = { debug() {}, info() {}, warn() {}, error() {} }
const retry = { attempts: 2, base: 1, max: 1 } as const

describe('a commit that is refused', { skip }, () => {
  it('because of a deferred constraint is the failure of that event alone', async () => {
    await using there = await place()
    const keeper = service('keeper', { db: pgClient(), retry }).on(Wanted, {}, async ({ id, parent }, { db }) => {
      await db.query(`INSERT INTO ${there.table} VALUES ($1, $2)`, [id, parent])
    })
    const app = await there.start([keeper])
    await app.seen(await app.publish(wanted), keeper)
    const letters = await app.deadLetters.list()
    await app.stop()
    assert.deepEqual(
      letters.map(({ code, event }) => [code, event?.key]),
      [['23503', 'w-7']],
    )
    assert.equal(await there.ids(), 19)
  })

  it('because of a statement that nobody has waited for is a failure, too, and no success', async () => {
    await using there = await place()
    const keeper = service('keeper', { db: pgClient(), retry }).on(Wanted, {}, ({ id, parent }, { db }) => {
      db.query(`INSERT INTO ${there.table} VALUES ($1, $2)`, [id, parent === 2 ? -1 : 1]).catch(() => {})
    })
    const app = await there.start([keeper])
    // Alone: whose statement it was is told by nothing but that no other handler shares the transaction.
    await app.seen(await app.publish(wanted[7]!), keeper)
    await app.seen(await app.publish(wanted.filter((_, at) => at !== 7)), keeper)
    const letters = await app.deadLetters.list()
    await app.stop()
    assert.deepEqual(
      letters.map(({ code, event }) => [code, event?.key]),
      [['23514', 'w-7']],
    )
    assert.equal(await there.ids(), 19)
  })
})
