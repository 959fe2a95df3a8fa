/** Operating it: migrations, grants, options, a listener that is cut, and what a stall is called. */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { event, isQuadrilleError, systemEnv, type ErrorCode, type Ledger } from 'quadrille'
import { append as appendIn, migrationSql, postgres, type PostgresOptions } from '@quadrille/postgres'
import * as z from 'zod'
import { newEvent, onServer, randomName, serverMissing, serverUrl, until } from './database.ts'

const skip = await serverMissing()
const Noted = event('noted', { key: 'id', schema: z.object({ id: z.string() }) })

const refusedWith = (code: ErrorCode) => (error: unknown) => isQuadrilleError(error, code)

const drop = (...schemas: readonly string[]) =>
  onServer(async (client) => {
    for (const schema of schemas) await client.query(`DROP SCHEMA IF EXISTS "${schema}" CASCADE`)
  })

const append = (ledger: Ledger, ...ids: readonly string[]) =>
  ledger.transact(async (tx) => void tx.appendLast(ids.map((id) => newEvent(id))))

const opened = async (options: PostgresOptions, url = serverUrl): Promise<Ledger> => {
  const ledger = postgres(url, options)
  await ledger.open(systemEnv)
  return ledger
}

describe('migrations', { skip }, () => {
  it('print their SQL without changing anything, and that SQL makes what open() makes', async () => {
    const schema = randomName()
    const text = await migrationSql(serverUrl, { schema })
    assert.match(text, new RegExp(`CREATE SCHEMA "${schema}"`))
    await assert.rejects(opened({ schema, migrate: false }), refusedWith('LEDGER_INCOMPATIBLE'))
    assert.equal(await migrationSql(serverUrl, { schema }), text)
    await onServer((client) => client.query(`BEGIN; ${text} COMMIT`))
    assert.equal(await migrationSql(serverUrl, { schema }), '')
    const ledger = await opened({ schema, migrate: false })
    await append(ledger, 'a')
    await ledger.close()
    await drop(schema)
  })

  it('refuse tables of a newer version, and tables that are not theirs', async () => {
    const [newer, foreign] = [randomName(), randomName()]
    await (await opened({ schema: newer })).close()
    await onServer(async (client) => {
      await client.query(`UPDATE "${newer}".quadrille_meta SET value = '99'`)
      await client.query(`CREATE SCHEMA "${foreign}"; CREATE TABLE "${foreign}".events (id int)`)
    })
    for (const schema of [newer, foreign]) {
      await assert.rejects(opened({ schema }), refusedWith('LEDGER_INCOMPATIBLE'))
      await assert.rejects(migrationSql(serverUrl, { schema }), refusedWith('LEDGER_INCOMPATIBLE'))
    }
    await drop(newer, foreign)
  })

  it('quote any schema name, and keep two schemas apart', async () => {
    const [odd, other] = [`${randomName()} "x'; --`, randomName()]
    const [one, two] = [await opened({ schema: odd }), await opened({ schema: other })]
    await append(one, 'same')
    await append(two, 'same', 'more')
    assert.equal((await one.read({ after: 0, limit: 9 })).events.length, 1)
    assert.equal((await two.read({ after: 0, limit: 9 })).events.length, 2)
    assert.equal((await one.health()).ok, true)
    await one.close()
    await two.close()
    await onServer((client) => client.query(`DROP SCHEMA "${odd.replaceAll('"', '""')}" CASCADE`))
    await drop(other)
  })
})

describe('keys', { skip }, () => {
  it('are found by their chunks, in tables of version 1, too, and where more than a million positions lie between two events', async () => {
    const schema = randomName()
    const put = (ledger: Ledger, id: string, key: string) =>
      ledger.transact(async (tx) => void tx.appendLast([newEvent(id, { key, type: `type ${id}` })]))
    const first = await opened({ schema })
    await put(first, 'a', 'k')
    await put(first, 'b', 'other')
    await first.close()
    await onServer((client) =>
      client.query(`DROP INDEX "${schema}".events_chunk_key;
        CREATE INDEX events_key ON "${schema}".events (key);
        UPDATE "${schema}".quadrille_meta SET value = '1' WHERE name = 'schema';
        SELECT setval('"${schema}".positions', 3000000)`),
    )
    assert.match(await migrationSql(serverUrl, { schema }), /DROP INDEX/)
    const ledger = await opened({ schema })
    await put(ledger, 'c', 'k')
    const found = async (types?: readonly string[]) =>
      (await ledger.find({ key: 'k', limit: 9, ...(types && { types }) })).map(({ id }) => id)
    assert.deepEqual(await found(), ['a', 'c'])
    assert.deepEqual(await found(['type c']), ['c'])
    assert.equal((await ledger.find({ key: 'k', limit: 1 }))[0]?.id, 'a')
    assert.deepEqual(await ledger.find({ key: 'nobody', limit: 9 }), [])
    await ledger.close()
    const names = await onServer((client) =>
      client.query(`SELECT indexname FROM pg_indexes WHERE schemaname = $1 AND indexname LIKE '%key'`, [schema]),
    )
    assert.deepEqual(names.rows.map((row) => row.indexname).toSorted(), [
      'events_chunk_key',
      'events_pkey',
      'leases_pkey',
      'members_pkey',
      'quadrille_meta_pkey',
      'records_pkey',
      'trimmed_pkey',
    ])
    await drop(schema)
  })

  it('are looked up in the index, not by reading all events', async () => {
    const schema = randomName()
    const ledger = await opened({ schema })
    for (let n = 0; n < 20; n++)
      await ledger.transact(
        async (tx) =>
          void tx.appendLast(Array.from({ length: 1_000 }, (_, at) => newEvent(`${n}-${at}`, { key: `k-${n}-${at}` }))),
      )
    await onServer((client) => client.query(`ANALYZE "${schema}".events`))
    await ledger.close()
    const finder = await opened({ schema })
    const before = await scans(schema)
    for (let n = 0; n < 20; n++) assert.equal((await finder.find({ key: `k-${n}-7`, limit: 9 })).length, 1)
    // A connection tells of its scans when it ends.
    await finder.close()
    await until(async () => (await scans(schema)).byIndex > before.byIndex, 'the index over keys was not used')
    assert.ok((await scans(schema)).whole - before.whole < 20, 'events were read as a whole')
    await drop(schema)
  })
})

/** How often the events were read as a whole, and how often the index over keys was asked. */
const scans = (schema: string) =>
  onServer(async (client) => {
    const { rows } = await client.query<{ whole: number; byIndex: number }>(
      `SELECT t.seq_scan::int AS whole, i.idx_scan::int AS "byIndex"
       FROM pg_stat_user_tables t JOIN pg_stat_user_indexes i ON i.relid = t.relid
       WHERE t.schemaname = $1 AND t.relname = 'events' AND i.indexrelname = 'events_chunk_key'`,
      [schema],
    )
    return rows[0]!
  })

/** Makes tables, and a role with the grants that docs/postgres.md names; both are gone after the test. */
async function asRole(t: TestContext): Promise<{ readonly schema: string; readonly url: string }> {
  const schema = randomName()
  const role = `${schema}_role`
  await (await opened({ schema })).close()
  await onServer((client) =>
    client.query(`CREATE ROLE "${role}" LOGIN PASSWORD 'secret';
      GRANT USAGE ON SCHEMA "${schema}" TO "${role}";
      GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "${schema}" TO "${role}";
      REVOKE INSERT, UPDATE, DELETE ON "${schema}".quadrille_meta FROM "${role}";
      GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA "${schema}" TO "${role}"`),
  )
  t.after(async () => {
    await drop(schema)
    await onServer((client) => client.query(`DROP ROLE "${role}"`))
  })
  const url = new URL(serverUrl)
  url.username = role
  url.password = 'secret'
  return { schema, url: url.href }
}

describe('grants', { skip }, () => {
  it('those that docs/postgres.md names are enough to run, and do not allow to migrate', async (t) => {
    const { schema, url } = await asRole(t)
    const ledger = await opened({ schema, migrate: false }, url)
    await append(ledger, 'a', 'b')
    const { leases } = await ledger.lease({ reader: 'r', owner: 'o', leaseMs: 1_000 })
    const epochs = new Map(leases.map(({ partition, epoch }) => [partition, epoch]))
    await ledger.transact((tx) => tx.hold({ reader: 'r', owner: 'o', epochs, position: 1 }))
    assert.equal((await ledger.read({ after: 0, limit: 9 })).events.length, 2)
    const trim = { upTo: 1, eventsBefore: Infinity, idsBefore: 0, recordsBefore: 0, limit: 10 }
    assert.equal(await ledger.trim(trim), 1)
    assert.equal((await ledger.health()).ok, true)
    await ledger.close()
    const other = postgres(url, { schema: randomName() })
    await assert.rejects(other.open(systemEnv), refusedWith('LEDGER_UNREACHABLE'))
  })

  it('health names a session of another role that holds up readers, although the server hides its age', async (t) => {
    const { schema, url } = await asRole(t)
    const ledger = await opened({ schema, migrate: false }, url)
    await onServer(async (client) => {
      await client.query('BEGIN')
      await appendIn(client, Noted({ id: 'a' }), { schema })
      const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
      const { ok, problems } = await ledger.health()
      assert.deepEqual([ok, problems.length], [false, 1])
      assert.match(
        problems[0]!,
        new RegExp(`^Process ${rows[0]!.pid} of the server .* has appended .* pg_read_all_stats`),
      )
      await client.query('COMMIT')
      assert.equal((await ledger.health()).ok, true)
    })
    await ledger.close()
  })
})

describe('wake-ups', { skip }, () => {
  it('a listener that is cut is made anew, and what came meanwhile is told', async () => {
    const schema = randomName()
    const [ledger, other] = [await opened({ schema }), await opened({ schema })]
    let woken = 0
    ledger.onAppend(() => (woken += 1))
    const listeners = () =>
      onServer(async (client) => {
        const sql = `SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN quadrille_%' AND application_name = $1`
        const { rows } = await client.query<{ pid: number }>(sql, [applicationName])
        return rows.map(({ pid }) => pid)
      }, serverUrl)
    const applicationName = 'quadrille'
    await until(async () => (await listeners()).length > 0 && woken > 0, 'it listens')
    const before = woken
    await append(other, 'a')
    await until(() => woken > before, 'it is woken')
    // Only its own: others may listen on this server. The channel is that of the schema.
    const channel = (
      await onServer(async (client) => {
        const { rows } = await client.query<{ body: string }>(
          `SELECT prosrc AS body FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace
           WHERE nspname = $1 AND proname = 'append_in_1'`,
          [schema],
        )
        return /quadrille_[0-9a-f]+/.exec(rows[0]!.body)![0]
      })
    ).toString()
    const cut = await onServer(async (client) => {
      const { rows } = await client.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = $1`, [
        `LISTEN ${channel}`,
      ])
      return rows.length
    })
    assert.equal(cut, 1)
    const atCut = woken
    await append(other, 'b')
    await until(() => woken > atCut, 'it is woken again')
    const again = woken
    await append(other, 'c')
    await until(() => woken > again, 'and again')
    assert.equal((await ledger.read({ after: 0, limit: 9 })).events.length, 3)
    await ledger.close()
    await other.close()
    await drop(schema)
  })

  it('many commits are told in few notifications', async () => {
    const schema = randomName()
    const [ledger, other] = [await opened({ schema }), await opened({ schema })]
    let woken = 0
    ledger.onAppend(() => (woken += 1))
    await until(() => woken > 0, 'it listens')
    const before = { woken, at: systemEnv.elapsed() }
    await Promise.all(Array.from({ length: 400 }, (_, n) => append(other, `e-${n}`)))
    const tookMs = systemEnv.elapsed() - before.at
    await until(() => woken > before.woken, 'it is woken')
    // One at the beginning, then one every 20 ms.
    assert.ok(woken - before.woken <= tookMs / 20 + 3, `${woken - before.woken} in ${Math.round(tookMs)} ms`)
    await ledger.close()
    await other.close()
    await drop(schema)
  })
})

describe('options', () => {
  it('that make no sense are refused', () => {
    const wrong: readonly [string, PostgresOptions][] = [
      [serverUrl, { schema: '' }],
      [serverUrl, { schema: 'pg_own' }],
      [serverUrl, { schema: 'x'.repeat(64) }],
      [serverUrl, { schema: 'a$$b' }],
      [serverUrl, { connections: 0 }],
      [serverUrl, { connections: 1.5 }],
      ['postgres://host:port/db', {}],
      ['not an address', {}],
      ['mysql://host/db', {}],
      [undefined as never, {}],
      [serverUrl, { conections: 4 } as object],
      [serverUrl, { tailBytes: Number.NaN }],
    ]
    for (const [url, options] of wrong)
      assert.throws(() => postgres(url, options), refusedWith('OPTION_INVALID'), `${url} ${JSON.stringify(options)}`)
    assert.throws(() => postgres(serverUrl, { connectWait: 'soon' as never }), refusedWith('DURATION_INVALID'))
  })

  it('never show a password', () => {
    assert.equal(postgres('postgres://u:secret@db.example:5433/shop').name, 'postgres db.example:5433/shop quadrille')
  })
})
