/** Events by key: found wherever they stand, without an index that every event of a long history would have to be sorted into. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { it } from 'node:test'
import { sqlite } from 'quadrille/sqlite'
import { systemEnv } from '../../src/base/index.ts'
import { append, newEvent } from '../../src/ledger/conformance/expectation.ts'
import { temporaryFolder } from './sqlite-harness.ts'

const types = ['one', 'two', 'three']

async function withLedger(test: (ledger: ReturnType<typeof sqlite>, path: string) => Promise<void>): Promise<void> {
  const folder = temporaryFolder()
  const path = `${folder.path}/ledger.db`
  const ledger = sqlite(path, { synchronous: 'NORMAL' })
  await ledger.open(systemEnv)
  try {
    await test(ledger, path)
  } finally {
    await ledger.close()
    folder.remove()
  }
}

it('events of a key are found in order, however long the history, over gaps that trimming has left', async () => {
  await withLedger(async (ledger) => {
    const count = 30_000
    const all = Array.from({ length: count }, (_, n) =>
      newEvent(`e-${n}`, { key: `k-${n % 7_001}`, type: types[n % 3]!, time: n }),
    )
    for (let at = 0; at < count; at += 5_000) await append(ledger, ...all.slice(at, at + 5_000))
    const expected = (key: string, some: readonly string[], limit: number) =>
      all.filter((event) => event.key === key && some.includes(event.type)).slice(0, limit)
    const idsOf = (events: readonly { readonly id: string }[]) => events.map(({ id }) => id)
    for (const [key, some, limit] of [
      ['k-0', types, 99],
      ['k-42', ['two'], 99],
      ['k-7000', ['one', 'three'], 2],
      ['k-7000', types, 1],
      ['nobody', types, 9],
    ] as const) {
      const query = { key, limit, ...(some.length < 3 && { types: some }) }
      assert.deepEqual(idsOf(await ledger.find(query)), idsOf(expected(key, some, limit)), JSON.stringify(query))
    }
    const gone = 17_000
    for (let removed = -1; removed !== 0;)
      removed = await ledger.trim({ upTo: gone, eventsBefore: count, idsBefore: 0, recordsBefore: 0, limit: 5_000 })
    const left = idsOf(await ledger.find({ key: 'k-42', limit: 9 }))
    assert.deepEqual(
      left,
      idsOf(expected('k-42', types, 9)).filter((id) => Number(id.slice(2)) >= gone),
    )
    assert.equal(left.length, 2)
  })
})

it('more than a million positions are searched, also where a ledger has but two events', async () => {
  await withLedger(async (ledger, path) => {
    await append(ledger, newEvent('first', { key: 'k' }), newEvent('second', { key: 'k' }))
    const db = new DatabaseSync(path)
    db.exec(`UPDATE quadrille_events SET position = 3000000 WHERE id = 'second'`)
    db.close()
    assert.deepEqual(
      (await ledger.find({ key: 'k', limit: 9 })).map(({ id, position }) => [id, position]),
      [
        ['first', 1],
        ['second', 3_000_000],
      ],
    )
  })
})

it('an event with a key of its own changes no more of the file than others do', async () => {
  await withLedger(async (ledger, path) => {
    const keyOf = [() => randomUUID(), () => 'the only one'] as const
    const pages: number[] = []
    for (let n = 0; n < 40_000; n += 2_000)
      await append(
        ledger,
        ...Array.from({ length: 2_000 }, (_, at) => newEvent(`history ${n + at}`.padEnd(36), { key: keyOf[0]() })),
      )
    for (const [index, key] of keyOf.entries()) {
      const db = new DatabaseSync(path)
      db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
      db.close()
      await append(
        ledger,
        ...Array.from({ length: 300 }, (_, n) => newEvent(`i ${index} ${n}`.padEnd(36), { key: key() })),
      )
      pages.push(Math.round(statSync(`${path}-wal`).size / 4_120))
    }
    // With one index over all keys it is a page for almost every event: 242 more, not 88.
    assert.ok(pages[0]! - pages[1]! < 150, `${pages.join(' and ')} pages`)
  })
})

it('a file of the version before is brought up to date when it is opened, and its events are found', async () => {
  const folder = temporaryFolder()
  const path = `${folder.path}/ledger.db`
  try {
    const before = sqlite(path)
    await before.open(systemEnv)
    await append(before, newEvent('a', { key: 'k' }), newEvent('b', { key: 'other' }))
    await before.close()
    const db = new DatabaseSync(path)
    db.exec(`DROP INDEX quadrille_events_chunk_key;
             CREATE INDEX quadrille_events_key ON quadrille_events (key);
             UPDATE quadrille_meta SET value = 1 WHERE name = 'schema'`)
    db.close()
    const ledger = sqlite(path)
    await ledger.open(systemEnv)
    assert.deepEqual(
      (await ledger.find({ key: 'k', limit: 9 })).map(({ id }) => id),
      ['a'],
    )
    assert.equal((await ledger.health()).ok, true)
    await ledger.close()
    const names = new DatabaseSync(path).prepare(`SELECT name FROM sqlite_schema WHERE name LIKE '%key%'`).all()
    assert.deepEqual(
      names.map((row) => row['name']),
      ['quadrille_events_chunk_key'],
    )
  } finally {
    folder.remove()
  }
})
