/** Kysely on the open transaction of a SQLite ledger: results are right, and the transaction stays the reaction's. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { CamelCasePlugin, sql, type Generated, type Kysely } from 'kysely'
import { event, isQuadrilleError, service, start, systemEnv, type LedgerTx } from 'quadrille'
import { sqlite, type SqliteHandle } from 'quadrille/sqlite'
import { kysely } from '@quadrille/kysely'
import * as z from 'zod'

interface Tables {
  item: {
    id: Generated<number>
    name: string
    stock: number
    photo: Uint8Array | null
    active: boolean | number | null
  }
}
const adapter = kysely<Tables>()
const schema = `create table item (id integer primary key, name text unique, stock integer, photo blob, active integer)`

/** A ledger in memory with the table; closed when the test ends. */
async function openLedger() {
  const ledger = sqlite(':memory:')
  await ledger.open(systemEnv)
  await ledger.transact(async (tx) => (tx.handle.native as SqliteHandle).exec(schema))
  return {
    write: <T>(work: (db: Kysely<Tables>, tx: LedgerTx) => Promise<T>): Promise<T> =>
      ledger.transact((tx) => work(adapter.open(tx.handle), tx)),
    [Symbol.asyncDispose]: () => ledger.close(),
  }
}
const row = (name: string, stock: number) => ({ name, stock, photo: null, active: null })
/** Rows of node:sqlite have no prototype; this is what they hold. */
const plain = <T>(rows: T): T => structuredClone(rows)

test('insert, update, delete and select give what Kysely promises', async () => {
  await using ledger = await openLedger()
  await ledger.write(async (db) => {
    const [first] = await db.insertInto('item').values(row('a', 1)).execute()
    assert.equal(first!.insertId, 1n)
    assert.equal(first!.numInsertedOrUpdatedRows, 1n)
    const many = await db
      .insertInto('item')
      .values([row('b', 2), row('c', 3)])
      .executeTakeFirstOrThrow()
    assert.deepEqual([many.insertId, many.numInsertedOrUpdatedRows], [3n, 2n])
    const ignored = await db.insertInto('item').orIgnore().values(row('a', 9)).executeTakeFirstOrThrow()
    assert.deepEqual([ignored.insertId, ignored.numInsertedOrUpdatedRows], [undefined, 0n])
    const updated = await db.updateTable('item').set({ stock: 7 }).where('stock', '>=', 2).executeTakeFirstOrThrow()
    assert.equal(updated.numUpdatedRows, 2n)
    const removed = await db.deleteFrom('item').where('name', '=', 'b').executeTakeFirstOrThrow()
    assert.equal(removed.numDeletedRows, 1n)
  })
  const rows = await ledger.write((db) => db.selectFrom('item').select(['id', 'name', 'stock']).orderBy('id').execute())
  assert.deepEqual(plain(rows), [
    { id: 1, name: 'a', stock: 1 },
    { id: 3, name: 'c', stock: 7 },
  ])
})

test('RETURNING gives rows, from every kind of write', async () => {
  await using ledger = await openLedger()
  await ledger.write(async (db) => {
    const inserted = await db.insertInto('item').values(row('a', 1)).returning(['id', 'name']).executeTakeFirstOrThrow()
    assert.deepEqual(plain(inserted), { id: 1, name: 'a' })
    const updated = await db.updateTable('item').set({ stock: 5 }).returningAll().execute()
    assert.deepEqual(plain(updated), [{ id: 1, ...row('a', 5) }])
    const upsert = db
      .insertInto('item')
      .values(row('a', 3))
      .onConflict((conflict) => conflict.column('name').doUpdateSet({ stock: sql`stock + excluded.stock` }))
    assert.deepEqual(plain(await upsert.returning('stock').execute()), [{ stock: 8 }])
    const removed = await db.deleteFrom('item').returning('name').execute()
    assert.deepEqual(plain(removed), [{ name: 'a' }])
    const raw = await sql<{ n: number }>`insert into item (name, stock) values ('r', 1) returning 5 as n`.execute(db)
    assert.deepEqual([plain(raw.rows), raw.numAffectedRows], [[{ n: 5 }], 1n])
    const silent = await sql`update item set stock = 0`.execute(db)
    assert.deepEqual([silent.rows, silent.numAffectedRows], [[], 1n])
    const counted = await sql<{ n: number }>`select count(*) as n from item`.execute(db)
    assert.deepEqual(plain(counted.rows), [{ n: 1 }])
  })
})

test('rows can be streamed', async () => {
  await using ledger = await openLedger()
  await ledger.write(async (db) => {
    await db
      .insertInto('item')
      .values([row('a', 1), row('b', 2)])
      .execute()
    const names: string[] = []
    for await (const item of db.selectFrom('item').selectAll().orderBy('id').stream()) names.push(item.name)
    assert.deepEqual(names, ['a', 'b'])
  })
})

test('booleans are 1 and 0, bytes and big integers are kept, and what SQLite can not store is refused with its place', async () => {
  await using ledger = await openLedger()
  await ledger.write(async (db) => {
    await db
      .insertInto('item')
      .values({ name: 'a', stock: 1, photo: new Uint8Array([1, 2]), active: true })
      .execute()
    await db.insertInto('item').values({ name: 'b', stock: 1, photo: null, active: false }).execute()
    const active = await db.selectFrom('item').select(['name', 'active', 'photo']).where('active', '=', true).execute()
    assert.deepEqual(plain(active), [{ name: 'a', active: 1, photo: new Uint8Array([1, 2]) }])
    const big = await sql<{ n: number }>`select ${2n ** 40n} as n`.execute(db)
    assert.equal(big.rows[0]!.n, 2 ** 40)
    for (const [value, type] of [
      [new Date(0), 'Date'],
      [undefined, 'undefined'],
      [{}, 'Object'],
      [[], 'Array'],
    ] as const) {
      await assert.rejects(sql`select ${1}, ${value}`.execute(db), {
        code: 'PARAMETER_UNSUPPORTED',
        message: new RegExp(`parameter 2 of a query is of type ${type}, which SQLite can not store`),
      })
    }
  })
})

test('what was written is gone when the work throws, and an error of the database arrives as it is', async () => {
  await using ledger = await openLedger()
  const work = ledger.write(async (db) => {
    await db.insertInto('item').values(row('a', 1)).execute()
    await db.insertInto('item').values(row('a', 2)).execute()
  })
  await assert.rejects(work, { code: 'ERR_SQLITE_ERROR', message: /UNIQUE/ })
  assert.deepEqual(await ledger.write((db) => db.selectFrom('item').selectAll().execute()), [])
})

test('the transaction can not be controlled: the reaction is the transaction', async () => {
  await using ledger = await openLedger()
  await ledger.write(async (db) => {
    await db.insertInto('item').values(row('a', 1)).execute()
    const refused = { code: 'TRANSACTION_CONTROL' }
    await assert.rejects(
      db.transaction().execute(async (inner) => inner.deleteFrom('item').execute()),
      refused,
    )
    await assert.rejects(db.startTransaction().execute(), refused)
    for (const text of ['commit', 'ROLLBACK', 'savepoint x']) await assert.rejects(sql.raw(text).execute(db), refused)
    await db.connection().execute((same) => same.insertInto('item').values(row('b', 1)).execute())
    assert.equal((await db.selectFrom('item').selectAll().execute()).length, 2)
  })
  assert.equal((await ledger.write((db) => db.selectFrom('item').selectAll().execute())).length, 2)
})

test('a query after the transaction has ended is refused, whether it was built before or after', async () => {
  await using ledger = await openLedger()
  const kept = await ledger.write(async (db) => ({ db, query: db.insertInto('item').values(row('late', 1)) }))
  await assert.rejects(kept.query.execute(), { code: 'HANDLE_CLOSED' })
  await assert.rejects(kept.db.selectFrom('item').selectAll().execute(), (error) =>
    isQuadrilleError(error, 'HANDLE_CLOSED'),
  )
  assert.deepEqual(await ledger.write((db) => db.selectFrom('item').selectAll().execute()), [])
})

test('queries at the same time in one handler do not disturb each other', async () => {
  await using ledger = await openLedger()
  await ledger.write(async (db) => {
    const names = Array.from({ length: 50 }, (_, index) => `n${index}`)
    await Promise.all(names.map((name) => db.insertInto('item').values(row(name, 1)).execute()))
    const found = await Promise.all(
      names.map((name) => db.selectFrom('item').select('name').where('name', '=', name).execute()),
    )
    assert.deepEqual(
      found.map((rows) => rows[0]!.name),
      names,
    )
  })
})

test('plugins are applied, and a ledger of another kind is refused', async () => {
  await using ledger = await openLedger()
  await ledger.write(async (_, tx) => {
    const db = kysely<{ item: { stockCount: number } }>({ plugins: [new CamelCasePlugin()] }).open(tx.handle)
    assert.match(db.selectFrom('item').select('stockCount').compile().sql, /"stock_count"/)
  })
  assert.throws(() => adapter.open({ kind: 'oracle', native: {} }), {
    code: 'HANDLE_UNSUPPORTED',
    message: /@quadrille\/kysely can not work on a oracle ledger/,
  })
  assert.equal(adapter.name, 'kysely')
})

test('a handle costs less than 50 microseconds: one is made for every transaction and service', async () => {
  await using ledger = await openLedger()
  await ledger.write(async (_, tx) => {
    const rounds = 5_000
    let best = Infinity
    for (let run = 0; run < 5; run++) {
      const start = performance.now()
      for (let round = 0; round < rounds; round++) adapter.open(tx.handle)
      best = Math.min(best, ((performance.now() - start) / rounds) * 1_000)
    }
    assert.ok(best < 50, `${best.toFixed(1)} microseconds`)
  })
})

test('in a running service, rows and events commit together', { timeout: 30_000 }, async () => {
  const schemaOf = z.object({ id: z.string() })
  const [Asked, Stored] = [
    event('asked', { key: 'id', schema: schemaOf }),
    event('stored', { key: 'id', schema: schemaOf }),
  ]
  const shop = service('shop', { db: adapter }).on(Asked, { emits: [Stored] }, async ({ id }, { db }) => {
    await db.insertInto('item').values(row(id, 1)).execute()
    return Stored({ id })
  })
  const app = await start({ services: [shop], ledger: sqlite(':memory:') })
  try {
    await app.transact(shop, async ({ db }) => {
      await sql.raw(schema).execute(db)
    })
    await app.publish([Asked({ id: '1' }), Asked({ id: '2' })])
    await app.quiet()
    let stored: string[] = []
    await app.transact(shop, async ({ db }) => {
      stored = (await db.selectFrom('item').select('name').orderBy('name').execute()).map((item) => item.name)
    })
    assert.deepEqual(stored, ['1', '2'])
  } finally {
    await app.stop()
  }
})
