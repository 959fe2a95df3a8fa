/** What happens to the server: prepared transactions, crashes and restarts, dump and restore. On clusters of the test's own. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { event, isQuadrilleError, service, silentLogger, sleep, start, systemEnv, type Ledger } from 'quadrille'
import { pgClient, postgres } from '@quadrille/postgres'
import * as z from 'zod'
import { Cluster, clusterMissing } from './cluster.ts'
import { newEvent, onServer } from './database.ts'

const skip = clusterMissing()

const idsBehind = async (ledger: Ledger, after: number): Promise<string[]> => {
  const ids: string[] = []
  for (let at = after; ;) {
    const page = await ledger.read({ after: at, limit: 100 })
    ids.push(...page.events.map(({ id }) => id))
    at = page.upTo
    if (page.end) return ids
  }
}

const append = (ledger: Ledger, ...ids: readonly string[]) =>
  ledger.transact(async (tx) => void tx.appendLast(ids.map((id) => newEvent(id))))

describe('a cluster of its own', { skip, concurrency: false }, () => {
  let cluster: Cluster
  let other: Cluster

  before(async () => {
    ;[cluster, other] = await Promise.all([
      Cluster.make('max_prepared_transactions=5', 'fsync=off'),
      Cluster.make('fsync=off'),
    ])
  })

  after(async () => {
    await Promise.all([cluster?.remove(), other?.remove()])
  })

  it('a prepared transaction that has appended is named by health, holds readers up, and nothing of it is lost', async () => {
    const ledger = postgres(cluster.url, { schema: 'prepared' })
    await ledger.open(systemEnv)
    try {
      await append(ledger, 'before')
      const nulls = 'ARRAY[NULL]::text[]'
      await onServer(async (client) => {
        await client.query('BEGIN')
        await client.query(
          `SELECT prepared.append_1(ARRAY['of-prepared'], ARRAY['t'], ARRAY[1], ARRAY['s'], ARRAY['k'], ARRAY['c'], ${nulls},
            ${nulls}, ARRAY[0], ARRAY[0], ${nulls}, ${nulls}, ARRAY['{}'], ${nulls})`,
        )
        await client.query(`PREPARE TRANSACTION 'of-a-test'`)
      }, cluster.url)
      await append(ledger, 'behind')
      assert.deepEqual(await idsBehind(ledger, 0), ['before'])
      const { ok, problems, facts } = await ledger.health()
      assert.deepEqual([ok, facts['preparedTransactions']], [false, 1])
      assert.match(problems.join(), /The prepared transaction of-a-test of postgres .* COMMIT PREPARED/)
      await onServer((client) => client.query(`COMMIT PREPARED 'of-a-test'`), cluster.url)
      assert.deepEqual(await idsBehind(ledger, 0), ['before', 'of-prepared', 'behind'])
      assert.equal((await ledger.health()).ok, true)
    } finally {
      await ledger.close()
    }
  })

  it('a database that was dumped and restored into another cluster goes on where it was', async () => {
    await onServer((client) => client.query('CREATE DATABASE shop'), cluster.url)
    const ledger = postgres(cluster.urlOf('shop'))
    await ledger.open(systemEnv)
    const ids = Array.from({ length: 20 }, (_, n) => `e-${String(n).padStart(2, '0')}`)
    for (const id of ids) await append(ledger, id)
    const { leases } = await ledger.lease({ reader: 'r', owner: 'a', leaseMs: 100 })
    const epochs = new Map(leases.map(({ partition, epoch }) => [partition, epoch]))
    const tenth = (await ledger.find({ ids: ['e-09'], limit: 1 }))[0]!.position
    await ledger.transact((tx) => tx.hold({ reader: 'r', owner: 'a', epochs, position: tenth }))
    await ledger.close()
    cluster.copyTo(other, 'shop')
    const restored = postgres(other.urlOf('shop'))
    await restored.open(systemEnv)
    try {
      const [position] = await restored.positions('r')
      assert.equal(position, tenth)
      assert.deepEqual(await idsBehind(restored, position!), ids.slice(10))
      await append(restored, 'e-05', 'new')
      assert.deepEqual((await idsBehind(restored, position!)).slice(-2), ['e-19', 'new'])
      assert.equal((await restored.health()).ok, true)
    } finally {
      await restored.close()
    }
  })

  it('a copy whose sequence was left behind is put right when it is opened', async () => {
    const ledger = postgres(cluster.url, { schema: 'behind' })
    await ledger.open(systemEnv)
    await append(ledger, 'a', 'b', 'c')
    await ledger.close()
    await onServer((client) => client.query(`SELECT setval('behind.positions', 1, false)`), cluster.url)
    const again = postgres(cluster.url, { schema: 'behind' })
    await again.open(systemEnv)
    try {
      await append(again, 'd')
      assert.deepEqual(await idsBehind(again, 0), ['a', 'b', 'c', 'd'])
    } finally {
      await again.close()
    }
  })

  it('a server that is killed while many append, and comes back, has lost and doubled nothing', async () => {
    const Asked = event('asked', { key: 'id', schema: z.object({ id: z.string() }) })
    const Answered = event('answered', { key: 'id', schema: z.object({ id: z.string() }) })
    await onServer(
      (client) => client.query('CREATE TABLE asked (id text PRIMARY KEY); CREATE TABLE answers (id text, times int)'),
      cluster.url,
    )
    const answering = service('answering', { db: pgClient() })
      .on(Asked, { emits: [Answered] }, async ({ id }, { db }) => {
        await db.query('INSERT INTO answers (id, times) VALUES ($1, 1)', [id])
        return Answered({ id })
      })
      .on(Answered, () => {})
    const ledger = postgres(cluster.url, { schema: 'crash', connectWait: '20s' })
    const app = await start({ services: [answering], ledger, log: silentLogger })
    const acknowledged: string[] = []
    const unknown: string[] = []
    let asking = true
    const ask = async (asker: number): Promise<void> => {
      for (let n = 0; asking; n++) {
        const id = `a${asker}-${n}`
        await app
          .transact(answering, async ({ db }) => {
            await db.query('INSERT INTO asked (id) VALUES ($1)', [id])
            return Asked({ id })
          })
          .then(
            () => acknowledged.push(id),
            (error: unknown) => {
              // The one thing that can not be known here.
              assert.ok(isQuadrilleError(error, 'LEDGER_OUTCOME_UNKNOWN'), String(error))
              unknown.push(id)
            },
          )
      }
    }
    try {
      const askers = Array.from({ length: 12 }, (_, asker) => ask(asker))
      for (let round = 0; round < 3; round++) {
        const before = acknowledged.length
        while (acknowledged.length < before + 150) await sleep(systemEnv, 5)
        if (round === 1) await cluster.stop()
        else await cluster.kill()
        await cluster.start()
      }
      const before = acknowledged.length
      while (acknowledged.length < before + 50) await sleep(systemEnv, 5)
      asking = false
      await Promise.all(askers)
      await app.quiet()
      const rows = await onServer(async (client) => {
        const asked = await client.query<{ id: string }>('SELECT id FROM asked')
        const answers = await client.query<{ id: string; count: string }>(
          'SELECT id, count(*) FROM answers GROUP BY id',
        )
        return { asked: asked.rows.map(({ id }) => id).sort(), answers: answers.rows }
      }, cluster.url)
      const lost = acknowledged.filter((id) => !rows.asked.includes(id))
      assert.deepEqual(lost, [], 'what was acknowledged is there')
      const known = new Set([...acknowledged, ...unknown])
      assert.deepEqual(
        rows.asked.filter((id) => !known.has(id)),
        [],
        'nothing is there that nobody asked for',
      )
      assert.deepEqual(rows.answers.map(({ id }) => id).sort(), rows.asked, 'each is answered')
      assert.deepEqual(
        rows.answers.filter(({ count }) => count !== '1'),
        [],
        'once',
      )
      assert.equal((await app.deadLetters.list({ limit: 1 })).length, 0, 'an outage is no failure of a handler')
    } finally {
      asking = false
      await app.stop()
    }
  })

  it('a server that is not there is named, and one that comes later is waited for', async () => {
    await other.stop()
    const impatient = postgres(other.url, { connectWait: '200ms' })
    await assert.rejects(impatient.open(systemEnv), (error) => isQuadrilleError(error, 'LEDGER_UNREACHABLE'))
    const patient = postgres(other.url, { connectWait: '20s' })
    const opening = patient.open(systemEnv)
    await other.start()
    await opening
    await append(patient, 'a')
    await patient.close()
  })
})
