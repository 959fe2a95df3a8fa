/** Drizzle on the open transaction of a SQLite ledger: results are right, and the transaction stays the reaction's. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { desc, eq, relations, sql } from 'drizzle-orm'
import { alias, integer, sqliteTable, text, blob } from 'drizzle-orm/sqlite-core'
import { event, isQuadrilleError, service, start, systemEnv, type LedgerTx } from 'quadrille'
import { sqlite, type SqliteHandle } from 'quadrille/sqlite'
import { drizzle, type DrizzleSqlite } from '@quadrille/drizzle'
import * as z from 'zod'

const customers = sqliteTable('customers', { id: integer().primaryKey(), name: text().notNull().unique() })
const orders = sqliteTable('orders', {
  id: integer().primaryKey(),
  customerId: integer('customer_id').notNull(),
  open: integer({ mode: 'boolean' }).notNull(),
  at: integer({ mode: 'timestamp_ms' }),
  notes: text({ mode: 'json' }).$type<{ gift: boolean }>(),
  photo: blob({ mode: 'buffer' }),
})
const customerRelations = relations(customers, ({ many }) => ({ orders: many(orders) }))
const orderRelations = relations(orders, ({ one }) => ({
  customer: one(customers, { fields: [orders.customerId], references: [customers.id] }),
}))
const schema = { customers, orders, customerRelations, orderRelations }
type Db = DrizzleSqlite<typeof schema>
const adapter = drizzle(schema)
const tables = `create table customers (id integer primary key, name text not null unique);
  create table orders (id integer primary key, customer_id integer not null, open integer not null, at integer, notes text, photo blob)`

/** A ledger in memory with the tables; closed when the test ends. */
async function openLedger() {
  const ledger = sqlite(':memory:')
  await ledger.open(systemEnv)
  await ledger.transact(async (tx) => (tx.handle.native as SqliteHandle).exec(tables))
  return {
    write: <T>(work: (db: Db, tx: LedgerTx) => Promise<T>): Promise<T> =>
      ledger.transact((tx) => work(adapter.open(tx.handle), tx)),
    [Symbol.asyncDispose]: () => ledger.close(),
  }
}
const plain = <T>(rows: T): T => structuredClone(rows)

test('insert, update, delete and select give rows and counts', async () => {
  await using ledger = await openLedger()
  await ledger.write(async (db) => {
    const first = await db.insert(customers).values({ name: 'a' })
    assert.deepEqual([first.changes, first.lastInsertRowid], [1, 1])
    assert.equal((await db.insert(customers).values([{ name: 'b' }, { name: 'c' }])).changes, 2)
    assert.equal((await db.update(customers).set({ name: 'd' }).where(eq(customers.id, 2))).changes, 1)
    assert.equal((await db.delete(customers).where(eq(customers.id, 3))).changes, 1)
    assert.equal((await db.update(customers).set({ name: 'x' }).where(eq(customers.id, 99))).changes, 0)
  })
  const rows = await ledger.write((db) => db.select().from(customers).orderBy(desc(customers.id)))
  assert.deepEqual(rows, [
    { id: 2, name: 'd' },
    { id: 1, name: 'a' },
  ])
  const one = await ledger.write((db) =>
    db.select({ n: customers.name }).from(customers).where(eq(customers.id, 1)).get(),
  )
  assert.deepEqual(one, { n: 'a' })
  assert.equal(await ledger.write((db) => db.select().from(customers).where(eq(customers.id, 99)).get()), undefined)
  assert.equal(await ledger.write((db) => db.$count(customers)), 2)
})

test('returning gives rows, also from an upsert', async () => {
  await using ledger = await openLedger()
  await ledger.write(async (db) => {
    assert.deepEqual(await db.insert(customers).values({ name: 'a' }).returning(), [{ id: 1, name: 'a' }])
    const upsert = db.insert(customers).values({ id: 1, name: 'b' })
    const again = await upsert
      .onConflictDoUpdate({ target: customers.id, set: { name: sql`excluded.name` } })
      .returning()
    assert.deepEqual(again, [{ id: 1, name: 'b' }])
    assert.deepEqual(await db.update(customers).set({ name: 'c' }).returning({ n: customers.name }), [{ n: 'c' }])
    assert.deepEqual(await db.delete(customers).returning(), [{ id: 1, name: 'c' }])
  })
})

test('columns that say how are converted: booleans, times, JSON, bytes', async () => {
  await using ledger = await openLedger()
  await ledger.write(async (db) => {
    const order = { id: 1, customerId: 1, open: true, at: new Date(5), notes: { gift: true }, photo: Buffer.from('x') }
    await db.insert(orders).values(order)
    const [read] = await db.select().from(orders).where(eq(orders.open, true))
    assert.deepEqual({ ...read, photo: Buffer.from(read!.photo!) }, order)
  })
})

test('columns of one name in a join stay apart, and keep their order', async () => {
  await using ledger = await openLedger()
  await ledger.write(async (db) => {
    await db.insert(customers).values([
      { id: 7, name: 'a' },
      { id: 8, name: 'b' },
    ])
    const order = { open: true, at: null, notes: null, photo: null }
    await db.insert(orders).values([1, 2, 3].map((id) => ({ ...order, id, customerId: id === 2 ? 8 : 7 })))
    const joined = await db
      .select({ order: orders.id, customer: customers.id })
      .from(orders)
      .leftJoin(customers, eq(orders.customerId, customers.id))
      .orderBy(desc(orders.id))
    assert.deepEqual(joined, [
      { order: 3, customer: 7 },
      { order: 2, customer: 8 },
      { order: 1, customer: 7 },
    ])
    const other = alias(customers, 'other')
    const pairs = await db
      .select()
      .from(customers)
      .leftJoin(other, eq(other.id, sql`${customers.id} + 1`))
      .orderBy(desc(customers.id))
    assert.deepEqual(pairs, [
      { customers: { id: 8, name: 'b' }, other: null },
      { customers: { id: 7, name: 'a' }, other: { id: 8, name: 'b' } },
    ])
    const found = await db.query.customers.findMany({
      with: { orders: { columns: { id: true } } },
      orderBy: desc(customers.id),
    })
    assert.deepEqual(found, [
      { id: 8, name: 'b', orders: [{ id: 2 }] },
      { id: 7, name: 'a', orders: [{ id: 1 }, { id: 3 }] },
    ])
    const first = await db.query.orders.findFirst({ with: { customer: true }, columns: { id: true } })
    assert.deepEqual(first, { id: 1, customer: { id: 7, name: 'a' } })
  })
})

test('raw SQL gives objects, lists or counts, and prepared queries take placeholders', async () => {
  await using ledger = await openLedger()
  await ledger.write(async (db) => {
    assert.equal((await db.run(sql`insert into customers (name) values (${'a'})`)).changes, 1)
    assert.deepEqual(plain(await db.all(sql`select id, name from customers`)), [{ id: 1, name: 'a' }])
    assert.deepEqual(plain(await db.get(sql`select name as n from customers`)), { n: 'a' })
    assert.equal(await db.get(sql`select 1 from customers where id = 99`), undefined)
    assert.deepEqual(await db.values(sql`select 2, 1, id, name, id from customers`), [[2, 1, 1, 'a', 1]])
    assert.deepEqual(await db.values(sql`select ${true} as yes, ${false} as no`), [[1, 0]])
    const byName = db
      .select()
      .from(customers)
      .where(eq(customers.name, sql.placeholder('name')))
      .prepare()
    assert.deepEqual(await byName.all({ name: 'a' }), [{ id: 1, name: 'a' }])
    assert.deepEqual(await byName.execute({ name: 'b' }), [])
    await assert.rejects(async () => db.all(sql`select ${new Date(0)}`), {
      code: 'PARAMETER_UNSUPPORTED',
      message: /parameter 1 of a query is of type Date/,
    })
  })
})

test('what was written is gone when the work throws, and an error of the database arrives as it is', async () => {
  await using ledger = await openLedger()
  const work = ledger.write(async (db) => {
    await db.insert(customers).values({ name: 'a' })
    await db.insert(customers).values({ name: 'a' })
  })
  await assert.rejects(work, { code: 'ERR_SQLITE_ERROR', message: /UNIQUE/ })
  assert.deepEqual(await ledger.write((db) => db.select().from(customers)), [])
})

test('the transaction can not be controlled: the reaction is the transaction', async () => {
  await using ledger = await openLedger()
  await ledger.write(async (db) => {
    await db.insert(customers).values({ name: 'a' })
    await assert.rejects(
      db.transaction(async (inner) => inner.delete(customers)),
      { code: 'TRANSACTION_CONTROL' },
    )
    for (const statement of ['commit', 'ROLLBACK', 'savepoint x']) {
      await assert.rejects(async () => db.run(sql.raw(statement)), { code: 'TRANSACTION_CONTROL' })
    }
  })
  assert.equal((await ledger.write((db) => db.select().from(customers))).length, 1)
})

test('a query after the transaction has ended is refused, whether it was built before or after', async () => {
  await using ledger = await openLedger()
  const kept = await ledger.write(async (db) => ({ db, query: db.insert(customers).values({ name: 'late' }) }))
  await assert.rejects(kept.query.execute(), (error) => isQuadrilleError(error, 'HANDLE_CLOSED'))
  await assert.rejects(kept.db.select().from(customers).execute(), { code: 'HANDLE_CLOSED' })
  assert.deepEqual(await ledger.write((db) => db.select().from(customers)), [])
})

test('a logger sees every query; casing names columns; a ledger of another kind is refused', async () => {
  await using ledger = await openLedger()
  const seen: [string, unknown[]][] = []
  const things = sqliteTable('things', { someName: text() })
  await ledger.write(async (_, tx) => {
    const logger = { logQuery: (query: string, params: unknown[]) => void seen.push([query, params]) }
    const db = drizzle(undefined, { logger, casing: 'snake_case' }).open(tx.handle)
    await db.run(sql`create table things (some_name text)`)
    await db.insert(things).values({ someName: 'x' })
    assert.deepEqual(await db.select().from(things), [{ someName: 'x' }])
  })
  assert.deepEqual(seen[1], ['insert into "things" ("some_name") values (?)', ['x']])
  assert.throws(() => adapter.open({ kind: 'oracle', native: {} }), {
    code: 'HANDLE_UNSUPPORTED',
    message: /@quadrille\/drizzle can not work on a oracle ledger/,
  })
  assert.equal(adapter.name, 'drizzle')
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
    await db.insert(customers).values({ name: id })
    return Stored({ id })
  })
  const app = await start({ services: [shop], ledger: sqlite(':memory:') })
  try {
    await app.transact(shop, async ({ db }) => {
      for (const statement of tables.split(';')) await db.run(sql.raw(statement))
    })
    await app.publish([Asked({ id: '1' }), Asked({ id: '2' })])
    await app.quiet()
    let stored: string[] = []
    await app.transact(shop, async ({ db }) => {
      stored = (await db.select().from(customers).orderBy(customers.name)).map((customer) => customer.name)
    })
    assert.deepEqual(stored, ['1', '2'])
  } finally {
    await app.stop()
  }
})
