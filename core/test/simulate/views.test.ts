/** Without an invariant of the user's: views that depend on the order of what they hear, and waits that nobody ends. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kysely } from '@quadrille/kysely'
import { choreography, event, service, type AnyService } from 'quadrille'
import { nodeSqlite, type SqliteHandle } from 'quadrille/sqlite'
import { paymentProvider, replay, simulate, type PaymentProvider, type SimulateOptions } from 'quadrille/simulate'
import * as z from 'zod'

const schema = z.object({ id: z.string(), units: z.number() })
const Asked = event('asked', { key: 'id', schema })
const Done = event('done', { key: 'id', schema })
const Gone = event('gone', { key: 'id', schema })
const inputs = [
  { id: 'a', units: 2 },
  { id: 'b', units: 3 },
]
const desk = (
  take: (data: { id: string; units: number }, context: { db: SqliteHandle }) => boolean = () => true,
  policy: { filter?: (data: { units: number }) => boolean } = {},
) =>
  service('desk', { db: nodeSqlite() })
    .on(Asked, { name: 'take', emits: [Done], ...policy }, (data, context) =>
      take(data, context) ? Done(data) : undefined,
    )
    .deadline(Asked, { name: 'give up', unless: [Done], within: '1h', emits: [Gone] }, (data) => Gone(data))
const talk = (...services: readonly unknown[]) =>
  choreography('talk', {
    services: services as AnyService[],
    starts: [Asked],
    ends: { success: [Done], failure: [Gone] },
    within: '1h',
  })
const found = async (subject: ReturnType<typeof talk>, options: SimulateOptions<{ id: string; units: number }> = {}) =>
  simulate(subject, { inputs, maxFaults: 1, schedules: 200, budget: '60s', ...options })

const viewOf = (write: (db: SqliteHandle, id: string, status: string) => void) =>
  service('view', { db: nodeSqlite() })
    .on(Asked, ({ id }, { db }) => write(db, id, 'asked'))
    .on(Done, ({ id }, { db }) => write(db, id, 'done'))
const setup = {
  view: (_: never, { sqlite }: { sqlite: { exec(sql: string): void } }) =>
    sqlite.exec('CREATE TABLE seen (id TEXT PRIMARY KEY, status TEXT, rank INTEGER NOT NULL DEFAULT 0)'),
}

test('a view in which the last one wins is stale when the cause comes last', async () => {
  const last = viewOf(
    (db, id, status) => void db.prepare('INSERT OR REPLACE INTO seen (id, status) VALUES (?, ?)').run(id, status),
  )
  const report = await found(talk(desk(), last), { setup })
  const [finding] = report.findings
  assert.equal(finding?.code, 'STALE_VIEW', report.text())
  assert.equal(finding.subject, 'view.seen')
  assert.match(finding.message, /done reaches view before asked, which came first/)
  assert.ok(finding.reproduced && finding.constraints.length === 1, report.text())
})

test('a view whose update finds no row yet is stale as well', async () => {
  const update = viewOf((db, id, status) =>
    status === 'asked'
      ? void db.prepare('INSERT INTO seen (id, status) VALUES (?, ?)').run(id, status)
      : void db.prepare('UPDATE seen SET status = ? WHERE id = ?').run(status, id),
  )
  assert.equal((await found(talk(desk(), update), { setup })).findings[0]?.code, 'STALE_VIEW')
})

test('a view that knows which status is further, and one that only lists, are right in any order', async () => {
  const rank: Readonly<Record<string, number>> = { asked: 1, done: 2 }
  const further = viewOf(
    (db, id, status) =>
      void db
        .prepare(
          'INSERT INTO seen VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET status = excluded.status, rank = excluded.rank WHERE rank < excluded.rank',
        )
        .run(id, status, rank[status]!),
  )
  const log = service('log', { db: nodeSqlite() })
    .on(
      Asked,
      ({ id }, { db, now }) => void db.prepare('INSERT INTO log VALUES (NULL, ?, ?)').run(id, now().toISOString()),
    )
    .on(
      Done,
      ({ id }, { db, now }) => void db.prepare('INSERT INTO log VALUES (NULL, ?, ?)').run(id, now().toISOString()),
    )
  const report = await found(talk(desk(), further, log), {
    setup: {
      ...setup,
      log: (_, { sqlite }) => sqlite.exec('CREATE TABLE log (n INTEGER PRIMARY KEY, id TEXT, written_at TEXT)'),
    },
  })
  assert.equal(report.ok, true, report.text())
  assert.equal(report.completeFaults, 1)
})

test('a view that could not handle an event is not stale: it shows what it has been told', async () => {
  const list = viewOf(
    (db, id, status) => void db.prepare('INSERT INTO seen (id, status) VALUES (?, ?)').run(`${id} ${status}`, status),
  )
  const { violations } = await replay(
    talk(desk(), list),
    {
      quadrille: 'schedule', version: 1, choreography: 'talk', inputs: [inputs[0]], violation: { code: 'STALE_VIEW', subject: 'view.seen' },
      constraints: [
        { kind: 'hold', step: 'asked→view', until: 'done→view' },
        { kind: 'fault', step: 'asked→view', fault: 'poison' },
      ],
    },
    { setup },
  ) // prettier-ignore
  assert.deepEqual(violations, [])
})

const Paid = event('paid', { key: 'id', schema })
const till = (key: (id: string) => string = (id) => id) =>
  service('till').on(Asked, { emits: [Paid] }, (data) => Paid({ ...data, id: key(data.id) }))

test('who waits for what a filter has dropped ends without a cause, unless nobody has done anything yet', async () => {
  const filter = ({ units }: { units: number }) => units < 3
  const report = await found(talk(till(), desk(undefined, { filter })))
  assert.equal(report.findings[0]?.code, 'FAILURE_WITHOUT_CAUSE', report.text())
  assert.match(report.findings[0].message, /waits until give up ends it with gone/)
  assert.equal(report.findings[0].phase, 'default')
  assert.equal((await found(talk(desk(undefined, { filter })))).ok, true)
})

test('a conversation that a handler has ended in failure, which could also have said yes, has its cause', async () => {
  const either = service('desk').on(Asked, { name: 'decide', emits: [Done, Gone] }, (data) =>
    data.units < 3 ? Done(data) : Gone(data),
  )
  const report = await found(talk(till(), either), { faults: [] })
  assert.equal(report.ok, true, report.text())
})

test('and who waits for an event under another key is told the key', async () => {
  const orders = service('desk')
    .all([Asked, Paid], { emits: [Done] }, ([data]) => Done(data))
    .deadline(Asked, { name: 'give up', unless: [Done], within: '1h', emits: [Gone] }, (data) => Gone(data))
  const report = await found(
    talk(
      till((id) => `till-${id}`),
      orders,
    ),
  )
  assert.match(report.findings[0]!.message, /paid has the id till-a, not a$/)
})

const shelf = {
  desk: (_: never, { sqlite }: { sqlite: { exec(sql: string): void } }) =>
    sqlite.exec(
      'CREATE TABLE shelf (left INTEGER); INSERT INTO shelf VALUES (4); CREATE TABLE known (who TEXT PRIMARY KEY)',
    ),
}
const takes = ({ units }: { units: number }, { db }: { db: SqliteHandle }) =>
  db.prepare('UPDATE shelf SET left = left - ? WHERE left >= ?').run(units, units).changes === 1

test('two that get in the way of each other: without a cause when there was enough for both', async () => {
  const once = desk((data, context) => {
    const { changes } = context.db.prepare("INSERT INTO known VALUES ('me') ON CONFLICT DO NOTHING").run()
    return changes === 1 && takes(data, context)
  })
  const small = [
    { id: 'a', units: 1 },
    { id: 'b', units: 2 },
  ]
  const report = await found(talk(once), { setup: shelf, inputs: small })
  assert.equal(report.findings[0]?.code, 'FAILURE_WITHOUT_CAUSE', report.text())
  assert.match(report.findings[0].message, /there was enough of everything for it/)
  // Not enough for both: whoever comes second waits in vain, and that is right.
  const scarce = await found(talk(desk(takes)), { setup: shelf })
  assert.equal(scarce.ok, true, scarce.text())
})

test('the provider: a charge is undone when all of it is back, and a key is for one request', async () => {
  const till =
    (back: number, key: (id: string) => string) =>
    ({ provider }: { provider: PaymentProvider }) =>
      talk(
        service('till', { db: kysely<object>() }).on(
          Asked,
          {
            call: ({ id, units }) => provider.charge({ amount: units, idempotencyKey: key(id) }),
            undo: {
              on: [Gone],
              call: ({ units }, { done, idempotencyKey }) =>
                provider.refund({ chargeId: done.chargeId, amount: units * back, idempotencyKey }),
              run: () => {},
            },
          },
          () => {},
        ),
        desk(undefined, { filter: () => false }),
      )
  const outcome = async (back: number, key = (id: string) => id) => {
    const { findings } = await simulate(till(back, key), {
      inputs, outside: (sim) => ({ provider: paymentProvider(sim) }), ignore: ['FAILURE_WITHOUT_CAUSE', 'NO_SUCCESS'],
      maxFaults: 0, schedules: 100, budget: '60s', faults: [],
    }) // prettier-ignore
    return findings.map(({ code, message }) => `${code} ${message}`)
  }
  assert.match((await outcome(0.5))[0]!, /^EFFECT_KEPT .*charge is not undone \(only 1 of 2 given back\)/)
  assert.match((await outcome(2))[0]!, /^EFFECT_TWICE .*undone more often than it was done/)
  assert.match((await outcome(1, () => 'one for all'))[0]!, /^DEAD_LETTER .*was used for \d before, now for \d/)
})

test('a wish from outside that comes too late is no reason to fail, and one that has been heeded is', async () => {
  const Cancel = event('cancel', { key: 'id', schema })
  const asking: SimulateOptions<{ id: string; units: number }> = {
    setup: {
      desk: (_: never, { sqlite }: { sqlite: { exec(sql: string): void } }) =>
        sqlite.exec('CREATE TABLE verdict (id TEXT PRIMARY KEY)'),
    },
    begin: async (app, data) => {
      await app.publish(Asked(data))
      await app.publish(Cancel(data))
    },
  }
  const dance = (isFirst: (db: SqliteHandle, id: string) => boolean) =>
    choreography('talk', {
      services: [
        service('desk', { db: nodeSqlite() })
          .on(Asked, { emits: [Done] }, (data, { db }) => (isFirst(db, data.id) ? Done(data) : undefined))
          .on(Cancel, { emits: [Gone] }, (data, { db }) => (isFirst(db, data.id) ? Gone(data) : undefined)),
      ],
      starts: [Asked, Cancel],
      ends: { success: [Done], failure: [Gone] },
      within: '1h',
    })
  const first = (db: SqliteHandle, id: string) =>
    db.prepare('INSERT INTO verdict VALUES (?) ON CONFLICT DO NOTHING').run(id).changes === 1
  const right = await found(dance(first), asking)
  assert.deepEqual(
    right.findings.map(({ code, message }) => [code, message]).filter(([code]) => code !== 'NO_END'),
    [],
  )
  const both = await found(
    dance(() => true),
    asking,
  )
  assert.equal(both.findings[0]?.code, 'TWO_ENDS')
})
