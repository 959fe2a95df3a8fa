/** Events that come to a service at the same time and are taken in one turn, as a reader does with all that it finds in its log. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { choreography, event, service } from 'quadrille'
import { nodeSqlite, type SqliteHandle } from 'quadrille/sqlite'
import { faultKinds, replay, simulate, type SimulateOptions } from 'quadrille/simulate'
import * as z from 'zod'

const schema = z.object({ id: z.string() })
const Asked = event('asked', { key: 'id', schema })
const Part = event('part', { key: 'id', schema: z.object({ id: z.string(), n: z.number() }) })
const Done = event('done', { key: 'id', schema })
type PartData = { readonly id: string; readonly n: number }

/** The list is complete when both parts are on it. */
const talk = (taken: (parts: readonly PartData[]) => readonly PartData[]) =>
  choreography('talk', {
    services: [
      service('maker').on(Asked, { emits: [Part] }, ({ id }) => [Part({ id, n: 1 }), Part({ id, n: 2 })]),
      service('list', { db: nodeSqlite() }).on(Part, { emits: [Done], batch: { size: 10 } }, (parts, { db }) => {
        for (const { id, n } of taken(parts)) db.prepare('INSERT INTO part VALUES (?, ?)').run(id, n)
        const { id } = parts[0]!
        return count(db, id) === 2 ? Done({ id }) : undefined
      }),
    ],
    starts: [Asked],
    ends: { success: [Done] },
  })
const count = (db: SqliteHandle, id: string) =>
  Number(db.prepare('SELECT count(*) AS n FROM part WHERE id = ?').get(id)!['n'])

const options = {
  inputs: [{ id: 'a' }],
  setup: { list: (_, { sqlite }) => sqlite.exec('CREATE TABLE part (id TEXT, n INTEGER, PRIMARY KEY (id, n))') },
  budget: '60s',
  schedules: 300,
} satisfies SimulateOptions<{ id: string }>

test('a batch of which only the first event is handled: found as one fault, and replayed', async () => {
  const report = await simulate(
    talk(([first]) => [first!]),
    options,
  )
  const [finding] = report.findings
  assert.equal(finding?.code, 'NO_END', report.text())
  assert.deepEqual(finding.schedule.constraints, [{ kind: 'fault', step: 'part→list', fault: 'together' }])
  assert.deepEqual(finding.steps, ['begin o1', 'asked→maker', 'part→list (together)', 'part#2→list'])
  const again = await replay(
    talk(([first]) => [first!]),
    finding.schedule,
    options,
  )
  assert.deepEqual(
    again.violations.map(({ code }) => code),
    ['NO_END'],
  )
})

test('nothing else shows it', async () => {
  const faults = faultKinds.filter((fault) => fault !== 'together')
  const report = await simulate(
    talk(([first]) => [first!]),
    { ...options, faults },
  )
  assert.equal(report.ok, true, report.text())
})

test('a batch of which all is handled is right, in every schedule with up to two faults', async () => {
  const report = await simulate(
    talk((parts) => parts),
    options,
  )
  assert.equal(report.ok, true, report.text())
  assert.equal(report.completeFaults, 2)
})
