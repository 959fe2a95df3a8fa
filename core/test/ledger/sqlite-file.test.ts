/** The database file: its schema version, what else may be in it, and the log in memory beside it. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { describe, it } from 'node:test'
import { nodeSqlite, sqlite } from 'quadrille/sqlite'
import { isQuadrilleError, sleep, systemEnv } from '../../src/base/index.ts'
import { append, newEvent, readAll } from '../../src/ledger/conformance/expectation.ts'
import { EventTail } from '../../src/ledger/event-tail.ts'
import { StatementCache } from '../../src/ledger/sqlite/statement-cache.ts'
import { temporaryFolder } from './sqlite-harness.ts'

async function withPath(test: (path: string) => Promise<void>): Promise<void> {
  const folder = temporaryFolder()
  try {
    await test(`${folder.path}/ledger.db`)
  } finally {
    folder.remove()
  }
}

const incompatible = (pattern: RegExp) => (error: unknown) => {
  assert.ok(isQuadrilleError(error, 'LEDGER_INCOMPATIBLE'), String(error))
  assert.match(error.message, pattern)
  return true
}

function change(path: string, sql: string): void {
  const db = new DatabaseSync(path)
  db.exec(sql)
  db.close()
}

describe('the database file', () => {
  it('is refused when a newer version has made its tables', async () => {
    await withPath(async (path) => {
      const ledger = sqlite(path)
      await ledger.open(systemEnv)
      await ledger.close()
      change(path, `UPDATE quadrille_meta SET value = 99 WHERE name = 'schema'`)
      await assert.rejects(sqlite(path).open(systemEnv), incompatible(/version 99, newer than/))
    })
  })

  it('is refused when its tables are not ours, or it is no database', async () => {
    await withPath(async (path) => {
      change(path, 'CREATE TABLE quadrille_events (a)')
      await assert.rejects(sqlite(path).open(systemEnv), incompatible(/no quadrille_meta/))
      change(path, 'CREATE TABLE quadrille_meta (a)')
      await assert.rejects(sqlite(path).open(systemEnv), incompatible(/not one of Quadrille's/))
      writeFileSync(`${path}.txt`, 'no database at all, but long enough to be looked at. '.repeat(99))
      await assert.rejects(sqlite(`${path}.txt`).open(systemEnv), incompatible(/not a database/))
    })
  })

  it("may hold the user's tables before ours", async () => {
    await withPath(async (path) => {
      change(path, 'CREATE TABLE orders (id); INSERT INTO orders VALUES (1)')
      const ledger = sqlite(path)
      await ledger.open(systemEnv)
      const count = await ledger.transact(async (tx) => {
        const db = nodeSqlite().open(tx.handle)
        return db.prepare('SELECT count(*) AS count FROM orders').get()?.['count']
      })
      assert.equal(count, 1)
      await ledger.close()
    })
  })

  it('is left without a WAL when the last one closes it', async () => {
    await withPath(async (path) => {
      const ledger = sqlite(path)
      await ledger.open(systemEnv)
      await append(ledger, newEvent('a'))
      assert.ok(Number((await ledger.health()).facts['walBytes']) > 0)
      await ledger.close()
      const db = new DatabaseSync(path, { readOnly: true })
      assert.equal(db.prepare('SELECT count(*) AS count FROM quadrille_events').get()?.['count'], 1)
      db.close()
    })
  })

  it('keeps its WAL small while it is written to without a pause', async () => {
    await withPath(async (path) => {
      const ledger = sqlite(path, { synchronous: 'NORMAL' })
      await ledger.open(systemEnv)
      const data = JSON.stringify('x'.repeat(4_000))
      let walBytesMax = 0
      for (let n = 0; n < 60; n++) {
        await append(ledger, ...Array.from({ length: 100 }, (_, i) => newEvent(`e-${n}-${i}`, { data })))
        walBytesMax = Math.max(walBytesMax, Number((await ledger.health()).facts['walBytes']))
      }
      assert.ok(walBytesMax < 16 * 1024 * 1024, `${walBytesMax} bytes`)
      await ledger.close()
    })
  })

  it('says so when a reader keeps its WAL from being emptied, and empties it afterwards', async () => {
    await withPath(async (path) => {
      const ledger = sqlite(path, { synchronous: 'NORMAL' })
      await ledger.open(systemEnv)
      const reader = new DatabaseSync(path)
      reader.exec('BEGIN; SELECT * FROM quadrille_meta')
      const data = JSON.stringify('x'.repeat(100_000))
      for (let n = 0; n < 70; n++) {
        await append(ledger, ...Array.from({ length: 10 }, (_, i) => newEvent(`e-${n}-${i}`, { data })))
      }
      const before = await ledger.health()
      assert.equal(before.ok, false)
      assert.match(before.problems.join(), /WAL has \d+ MiB/)
      reader.exec('COMMIT')
      reader.close()
      await sleep(systemEnv, 60)
      await append(ledger, newEvent('last'))
      await systemEnv.breathe()
      const after = await ledger.health()
      assert.deepEqual([after.ok, after.problems], [true, []])
      assert.ok(Number(after.facts['walBytes']) < 1024 * 1024, `${after.facts['walBytes']} bytes`)
      await ledger.close()
    })
  })
})

describe('the log in memory', () => {
  it('gives readers of one process the same objects', async () => {
    await withPath(async (path) => {
      const ledger = sqlite(path)
      await ledger.open(systemEnv)
      await readAll(ledger)
      await append(ledger, newEvent('a'), newEvent('b'))
      const [first, second] = [await readAll(ledger), await readAll(ledger, { types: ['thing.happened'] })]
      assert.equal(first.events.length, 2)
      first.events.forEach((event, n) => assert.equal(event, second.events[n]))
      await ledger.close()
    })
  })

  it('takes in what other processes append, so that it is read once', async () => {
    await withPath(async (path) => {
      const [ledger, other] = [sqlite(path), sqlite(path)]
      await ledger.open(systemEnv)
      await other.open(systemEnv)
      await readAll(ledger)
      await append(other, newEvent('a'))
      await append(ledger, newEvent('b'))
      await append(other, newEvent('c'))
      const [first, second] = [await readAll(ledger), await readAll(ledger)]
      assert.deepEqual(
        first.events.map((event) => event.id),
        ['a', 'b', 'c'],
      )
      first.events.forEach((event, n) => assert.equal(event, second.events[n]))
      await ledger.close()
      await other.close()
    })
  })

  it('stays within its limits', () => {
    const event = (position: number, size: number) => ({
      ...newEvent(`e-${position}`),
      position,
      data: 'x'.repeat(size),
    })
    const tail = new EventTail({ events: 10, bytes: 10_000 }, 0)
    for (let position = 1; position <= 10; position++) tail.push([event(position, 1)])
    assert.deepEqual([tail.size, tail.base, tail.last], [10, 0, 10])
    tail.push([event(11, 1)])
    assert.deepEqual([tail.size, tail.base, tail.last], [10, 1, 11])
    tail.push([event(12, 9_000)])
    assert.deepEqual([tail.size, tail.base, tail.last], [1, 11, 12])
    tail.push([event(13, 20_000)])
    assert.deepEqual([tail.size, tail.base, tail.last], [0, 13, 13])
    for (let position = 14; position < 5_000; position++) tail.push([event(position, 1)])
    assert.deepEqual(
      tail.read({ after: 4_997, limit: 9 }).events.map((each) => each.position),
      [4_998, 4_999],
    )
  })
})

describe('prepared statements', () => {
  it('are kept by text, and dropped when many others came', () => {
    const db = new DatabaseSync(':memory:')
    const cache = new StatementCache(db)
    const first = cache.get('SELECT 1')
    assert.equal(cache.get('SELECT 1'), first)
    for (let n = 0; n < 300; n++) cache.get(`SELECT 'a${n}'`)
    assert.equal(cache.get('SELECT 1'), first, 'still kept')
    for (let n = 0; n < 2_000; n++) cache.get(`SELECT 'b${n}'`)
    assert.ok(cache.size <= 512, `${cache.size} are kept`)
    assert.notEqual(cache.get('SELECT 1'), first, 'dropped')
    db.close()
  })
})

it('a file that can not be opened is a LEDGER_UNREACHABLE that names it', async () => {
  const folder = temporaryFolder()
  const ledger = sqlite(`${folder.path}/missing/ledger.db`)
  await assert.rejects(ledger.open(systemEnv), {
    code: 'LEDGER_UNREACHABLE',
    message: /missing\/ledger\.db.*folder exists/,
  })
  folder.remove()
})

it('options that make no sense are refused', () => {
  const wrong: readonly [string, object][] = [
    [undefined as never, {}],
    ['', {}],
    ['a.db', { synchronous: 'normal' }],
    ['a.db', { busyWait: '5s' }],
    ['a.db', { tailEvents: -1 }],
    ['a.db', { cacheBytes: Number.NaN }],
  ]
  for (const [path, options] of wrong)
    assert.throws(() => sqlite(path, options), { code: 'OPTION_INVALID' }, `${path} ${JSON.stringify(options)}`)
})
