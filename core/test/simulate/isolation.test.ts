/** Transactions of a service that overlap, as they do on PostgreSQL; and numbers that are not those of one after the other. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kysely } from '@quadrille/kysely'
import { sql, type Kysely } from 'kysely'
import { choreography, event, service, type AnyService } from 'quadrille'
import { nodeSqlite } from 'quadrille/sqlite'
import { replay, simulate, type SimulateOptions } from 'quadrille/simulate'
import * as z from 'zod'

const schema = z.object({ id: z.string(), units: z.number() })
type Wish = z.infer<typeof schema>
const Asked = event('asked', { key: 'id', schema })
const Given = event('given', { key: 'id', schema })
const Short = event('short', { key: 'id', schema })

interface Tables {
  shelf: { item: string; left: number; version: number }
  given: { id: string; units: number }
}
type Take = (db: Kysely<Tables>, wish: Wish) => Promise<boolean>

const talk = (take: Take) =>
  choreography('talk', {
    services: [
      service('store', { db: kysely<Tables>() }).on(
        Asked,
        { name: 'take', emits: [Given, Short] },
        async (wish, { db }) => {
          if (!(await take(db, wish))) return Short(wish)
          await db.insertInto('given').values(wish).execute()
          return Given(wish)
        },
      ),
    ],
    starts: [Asked],
    ends: { success: [Given], failure: [Short] },
  })
const options = {
  setup: (_, { sqlite }) =>
    sqlite.exec(
      `CREATE TABLE shelf (item TEXT, left INTEGER, version INTEGER); INSERT INTO shelf VALUES ('tea', 4, 1);
       CREATE TABLE given (id TEXT PRIMARY KEY, units INTEGER)`,
    ),
  inputs: [
    { id: 'a', units: 1 },
    { id: 'b', units: 2 },
    { id: 'c', units: 3 },
  ],
  schedules: 300,
  budget: '60s',
} satisfies SimulateOptions<Wish>

const left = (db: Kysely<Tables>) => db.selectFrom('shelf').selectAll().where('item', '=', 'tea')
const readAndWrite: Take = async (db, { units }) => {
  const shelf = await left(db).executeTakeFirstOrThrow()
  if (shelf.left < units) return false
  await db
    .updateTable('shelf')
    .set({ left: shelf.left - units })
    .execute()
  return true
}

test('read, computed and written back: found, in one constraint, and found again', async () => {
  const report = await simulate(talk(readAndWrite), options)
  const [finding] = report.findings
  assert.equal(finding?.code, 'LOST_UPDATE', report.text())
  assert.equal(finding.subject, 'store')
  assert.match(
    finding.message,
    /o2:asked in store reads before asked has committed and writes afterwards.*"left":2.*"left":1/,
  )
  assert.deepEqual(finding.schedule.constraints, [{ kind: 'fault', step: 'o2:asked→store', fault: 'stale read' }])
  const again = await replay(talk(readAndWrite), finding.schedule, options)
  assert.deepEqual(
    again.violations.map(({ code }) => code),
    ['LOST_UPDATE'],
  )
})

test('on SQLite that is right: silent when isolation says so, and for a handle of SQLite alone', async () => {
  const report = await simulate(talk(readAndWrite), { ...options, isolation: 'serializable' })
  assert.equal(report.ok, true, report.text())
  const own = service('store', { db: nodeSqlite() }).on(Asked, { emits: [Given] }, (wish, { db }) => {
    const row = db.prepare('SELECT left FROM shelf').get()
    db.prepare('UPDATE shelf SET left = ?').run(Number(row!['left']) - wish.units)
    return Given(wish)
  })
  const alone = choreography('talk', { services: [own], starts: [Asked], ends: { success: [Given] } })
  assert.equal((await simulate(alone, options)).ok, true)
  const asked = await simulate(alone, { ...options, isolation: 'read committed' })
  assert.equal(asked.findings[0]?.code, 'LOST_UPDATE', asked.text())
})

const right: Readonly<Record<string, Take>> = {
  'one statement that looks and takes': async (db, { units }) => {
    const taken = await db
      .updateTable('shelf')
      .set((eb) => ({ left: eb('left', '-', units) }))
      .where('left', '>=', units)
      .executeTakeFirst()
    return taken.numUpdatedRows === 1n
  },
  'a look first, and the same statement': async (db, { units }) => {
    if ((await left(db).executeTakeFirstOrThrow()).left < units) return false
    const taken = await sql`UPDATE shelf SET left = left - ${units} WHERE left >= ${units}`.execute(db)
    return taken.numAffectedRows === 1n
  },
  'a lock': async (db, { units }) => {
    const shelf = await left(db).forUpdate().executeTakeFirstOrThrow()
    if (shelf.left < units) return false
    await db
      .updateTable('shelf')
      .set({ left: shelf.left - units })
      .execute()
    return true
  },
  'a version that must not have changed; otherwise it is tried again': async (db, { units }) => {
    const shelf = await left(db).executeTakeFirstOrThrow()
    if (shelf.left < units) return false
    const written = await db
      .updateTable('shelf')
      .set({ left: shelf.left - units, version: shelf.version + 1 })
      .where('version', '=', shelf.version)
      .executeTakeFirst()
    assert.equal(written.numUpdatedRows, 1n, 'somebody else was faster')
    return true
  },
  'a look that is too early, and is as if it had come first': async (db, { id }) => {
    const shelf = await left(db).executeTakeFirstOrThrow()
    if (id === 'a') await db.updateTable('shelf').set({ left: 1 }).execute()
    else
      await db
        .insertInto('given')
        .values({ id: `${id} has seen`, units: shelf.left })
        .execute()
    return true
  },
}

test('what only one of the two could have said, with the same rows: found', async () => {
  const both = service('store', { db: kysely<Tables>() }).on(Asked, { emits: [Given, Short] }, async (wish, { db }) => {
    const shelf = await left(db).executeTakeFirstOrThrow()
    await db.updateTable('shelf').set({ left: 0 }).execute()
    return shelf.left > 0 ? Given(wish) : Short(wish)
  })
  const dance = choreography('talk', {
    services: [both],
    starts: [Asked],
    ends: { success: [Given], failure: [Short] },
  })
  const report = await simulate(dance, options)
  assert.equal(report.findings[0]?.code, 'LOST_UPDATE', report.text())
  assert.match(report.findings[0].message, /it emits given where it is short when one comes after the other$/)
})

for (const [how, take] of Object.entries(right)) {
  test(`right where transactions overlap: ${how}`, async () => {
    const report = await simulate(talk(take), options)
    assert.equal(report.ok, true, report.text())
  })
}

test('read by one reaction and written back by another: the numbers are not those of one after the other', async () => {
  const Seen = event('seen', { key: 'id', schema: z.object({ id: z.string(), units: z.number(), left: z.number() }) })
  const look = service('look', { db: nodeSqlite() }).on(Asked, { emits: [Seen] }, (wish, { db }) =>
    Seen({ ...wish, left: Number(db.prepare('SELECT left FROM shelf').get()!['left']) }),
  )
  const Decided = event('decided', {
    key: 'id',
    schema: z.object({ id: z.string(), units: z.number(), left: z.number() }),
  })
  const other = service('other').on(Seen, { emits: [Decided] }, (seen) => Decided(seen))
  const write = look.on(Decided, { emits: [Given] }, ({ id, units, left: before }, { db }) => {
    db.prepare('UPDATE shelf SET left = ?').run(before - units)
    return Given({ id, units })
  })
  const services = [write, other] as unknown as AnyService[]
  const dance = choreography('talk', { services, starts: [Asked], ends: { success: [Given] } })
  const report = await simulate(dance, options)
  assert.equal(report.findings[0]?.code, 'COUNTER_DIFFERS', report.text())
  assert.match(
    report.findings[0].message,
    /o1 and o2 have succeeded, and the numbers are not those of one after the other/,
  )
})
