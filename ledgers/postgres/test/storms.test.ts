/** Rows that everybody wants, in opposite orders, and a stranger who keeps them: it ends, and each thing happens once. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { service, silentLogger, sleep, start, systemEnv, type App } from 'quadrille'
import { postgres } from '@quadrille/postgres'
import { Cluster, clusterMissing } from './cluster.ts'
import { onServer } from './database.ts'
import { Served, Wanted } from './storm-member.ts'

const skip = clusterMissing()
const waitMs = 120_000
const schema = 'users'
const processes = 3

describe('a storm over hot rows', { skip, concurrency: false }, () => {
  let cluster: Cluster
  let app: App
  const members: ChildProcess[] = []

  before(async () => {
    cluster = await Cluster.make('fsync=off', 'deadlock_timeout=20ms')
    await onServer(async (client) => {
      await client.query(`CREATE SCHEMA ${schema}; CREATE TABLE ${schema}.served (id text);
        CREATE TABLE ${schema}.hot (id int PRIMARY KEY, n int);
        INSERT INTO ${schema}.hot SELECT each, 0 FROM generate_series(0, 4) AS each`)
    }, cluster.url)
    // Publishes, and handles nothing of it itself.
    const watching = service('watching').on(Served, () => {})
    app = await start({
      services: [watching],
      ledger: postgres(cluster.url, { schema: 'storm' }),
      log: silentLogger,
    })
    const path = fileURLToPath(new URL('storm-member.ts', import.meta.url))
    for (let n = 0; n < processes; n++) {
      const args = ['--conditions=quadrille-source', path, cluster.url, schema]
      const member = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
      members.push(member)
      await new Promise((resolve) => member.stdout!.once('data', resolve))
    }
  })

  after(async () => {
    for (const member of members) {
      member.kill('SIGKILL')
      await new Promise((resolve) => member.once('exit', resolve))
    }
    await app?.stop()
    await cluster?.remove()
  })

  const ask = <Row>(sql: string) => onServer(async (client) => (await client.query(sql)).rows[0] as Row, cluster.url)
  const served = () =>
    ask<{ all: number; different: number }>(
      `SELECT count(*)::int AS all, count(DISTINCT id)::int AS different FROM ${schema}.served`,
    )
  const hot = () => ask<{ n: number }>(`SELECT sum(n)::int AS n FROM ${schema}.hot`)
  const until = async (count: number) => {
    const endsAt = systemEnv.elapsed() + waitMs
    for (let found = await served(); found.different < count; found = await served()) {
      assert.ok(systemEnv.elapsed() < endsAt, `${found.different} of ${count} are served`)
      await sleep(systemEnv, 50)
    }
  }
  /** Each wants two of five rows, in one order or the other. */
  const wants = (what: string, count: number) =>
    Array.from({ length: count }, (_, n) =>
      Wanted({ id: `${what} ${n}`, order: n % 2 ? [n % 5, (n + 1) % 5] : [(n + 3) % 5, n % 5] }),
    )
  /** Attempts that have failed, and dead letters. */
  const failures = async () => {
    const sql = `SELECT count(*)::int AS n FROM storm.records WHERE kind = 'dead' OR scope = '~notes'`
    return (await ask<{ n: number }>(sql)).n
  }

  it('of several processes and opposite orders ends: nothing is lost, nothing doubled, and deadlocks are no attempts', async () => {
    const count = 400
    await app.publish(wants('many', count))
    await until(2 * count)
    assert.deepEqual(await served(), { all: 2 * count, different: 2 * count })
    assert.deepEqual([await hot(), await failures()], [{ n: 4 * count }, 0])
    const deadlocks = async () =>
      (await ask<{ n: number }>(`SELECT deadlocks::int AS n FROM pg_stat_database WHERE datname = 'postgres'`)).n
    // A backend tells its figures within a second or so.
    const endsAt = systemEnv.elapsed() + waitMs
    while ((await deadlocks()) === 0) {
      assert.ok(systemEnv.elapsed() < endsAt, 'there was no deadlock at all: this test has tested nothing')
      await sleep(systemEnv, 100)
    }
  })

  it('and a stranger who keeps a row for longer than anybody waits for it: they try again, and it is no attempt', async () => {
    const before = (await served()).all
    const count = 20
    await onServer(async (client) => {
      await client.query(`BEGIN; UPDATE ${schema}.hot SET n = n WHERE id = 0`)
      await app.publish(wants('kept', count))
      const gaveUp = () =>
        ask<{ n: number }>(`SELECT xact_rollback::int AS n FROM pg_stat_database WHERE datname = 'postgres'`)
      const { n } = await gaveUp()
      const endsAt = systemEnv.elapsed() + waitMs
      while ((await gaveUp()).n < n + 10) {
        assert.ok(systemEnv.elapsed() < endsAt, 'nobody has given up')
        await sleep(systemEnv, 100)
      }
      await client.query('ROLLBACK')
    }, cluster.url)
    await until(before + 2 * count)
    assert.deepEqual([(await served()).all, await failures()], [before + 2 * count, 0])
  })
})
