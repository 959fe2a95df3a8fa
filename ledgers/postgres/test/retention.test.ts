/** Forgetting: in bounded batches that wait for nobody and make nobody wait, and tables that stay as large as what is in them. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { sleep, systemEnv, type Ledger, type LedgerRecord, type TrimRequest } from 'quadrille'
import { postgres } from '@quadrille/postgres'
import { Cluster, clusterMissing } from './cluster.ts'
import { newEvent, onServer } from './database.ts'

const skip = clusterMissing()
const waitMs = 60_000

describe('retention', { skip, concurrency: false }, () => {
  let cluster: Cluster
  let ledger: Ledger

  before(async () => {
    cluster = await Cluster.make('fsync=off', 'autovacuum_naptime=1s', 'log_lock_waits=on')
    ledger = postgres(cluster.url, { schema: 'shop' })
    await ledger.open(systemEnv)
  })
  after(async () => {
    await ledger?.close()
    await cluster?.remove()
  })

  const append = (from: number, count: number) =>
    ledger.transact(async (tx) => {
      tx.appendLast(Array.from({ length: count }, (_, n) => newEvent(`e-${from + n}`, { time: 1 })))
    })
  const record = (id: string, expires: number | null): LedgerRecord => ({
    scope: 'reader',
    kind: 'fence',
    id,
    partition: 1,
    lane: null,
    seq: 0,
    due: null,
    expires,
    body: '{}',
  })
  const everything: TrimRequest = {
    upTo: Number.MAX_SAFE_INTEGER,
    eventsBefore: 2,
    idsBefore: Number.MAX_SAFE_INTEGER,
    recordsBefore: 2,
    limit: 500,
  }
  const count = (table: string) =>
    onServer(async (client) => {
      const { rows } = await client.query<{ n: number }>(`SELECT count(*)::int AS n FROM shop.${table}`)
      return rows[0]!.n
    }, cluster.url)

  it('goes on beside a transaction that stays open and holds a business table, in batches of bounded size', async () => {
    await append(0, 2_000)
    await onServer(async (client) => {
      await client.query(`CREATE TABLE business (id int PRIMARY KEY); INSERT INTO business VALUES (1)`)
      // A long transaction of the business: it has written, appended, and keeps its table to itself.
      await client.query('BEGIN; INSERT INTO business VALUES (2); LOCK TABLE business IN ACCESS EXCLUSIVE MODE')
      const sizes: number[] = []
      for (let removed = -1; removed !== 0;) sizes.push((removed = await ledger.trim({ ...everything, idsBefore: 0 })))
      assert.equal(await count('events'), 0)
      assert.deepEqual(sizes, [500, 500, 500, 500, 0])
      await client.query('ROLLBACK')
    }, cluster.url)
  })

  it('locks nothing but its own tables, and a writer beside it waits for none of its locks', async () => {
    await append(10_000, 500)
    await onServer(async (client) => {
      // What retention has locked when its step is done and not yet committed.
      await client.query('BEGIN')
      await client.query(`SELECT * FROM shop.trim_1(9223372036854775807, 2, 0, 2, 500, 2000, 0, '', '', '', '')`)
      const { rows } = await client.query<{ name: string }>(`
        SELECT DISTINCT relname AS name FROM pg_locks JOIN pg_class ON pg_class.oid = relation
        WHERE pid = pg_backend_pid() AND relkind = 'r' AND relnamespace <> 'pg_catalog'::regnamespace ORDER BY 1`)
      assert.deepEqual(
        rows.map(({ name }) => name),
        ['events', 'records', 'trimmed'],
      )
      // Meanwhile others append, save and trim.
      await append(20_000, 100)
      await ledger.transact((tx) => tx.save([record('r', null)]))
      assert.equal(await ledger.trim(everything), 0, 'somebody else trims: nothing to wait for')
      await client.query('COMMIT')
    }, cluster.url)
  })

  it('leaves tables that stay as large as what is in them, and are vacuumed without anybody asking', async () => {
    const size = () =>
      onServer(async (client) => {
        // As autovacuum does, but at a moment that the test knows.
        for (const table of ['events', 'trimmed', 'records', 'leases']) await client.query(`VACUUM shop.${table}`)
        const { rows } = await client.query<{ bytes: number }>(`
          SELECT sum(pg_total_relation_size(relid))::int AS bytes FROM pg_stat_user_tables WHERE schemaname = 'shop'`)
        return rows[0]!.bytes
      }, cluster.url)
    const round = async (number: number) => {
      await append(100_000 + number * 2_000, 2_000)
      const records = Array.from({ length: 1_000 }, (_, n) => record(`r-${number}-${n}`, 1))
      await ledger.transact((tx) => tx.save(records))
      await ledger.transact((tx) => tx.save(records.map((each) => ({ ...each, body: '{"again":true}' }))))
      while ((await ledger.trim(everything)) > 0) await ledger.lease({ reader: 'reader', owner: 'me', leaseMs: 2_000 })
    }
    for (let number = 0; number < 3; number++) await round(number)
    const first = await size()
    let last = first
    for (let number = 3; number < 20; number++) {
      await round(number)
      last = await size()
    }
    assert.ok(last < 2 * first, `${first} bytes after 3 rounds, ${last} after 20`)
    const vacuumed = () =>
      onServer(async (client) => {
        const { rows } = await client.query<{ relname: string }>(`
          SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'shop' AND autovacuum_count > 0 ORDER BY 1`)
        return rows.map(({ relname }) => relname)
      }, cluster.url)
    const endsAt = systemEnv.elapsed() + waitMs
    let tables: readonly string[] = []
    for (let number = 20; !['events', 'records', 'trimmed'].every((table) => tables.includes(table)); number++) {
      assert.ok(systemEnv.elapsed() < endsAt, `vacuumed by itself: ${tables.join()}`)
      await round(number)
      await sleep(systemEnv, 200)
      tables = await vacuumed()
    }
  })
})
