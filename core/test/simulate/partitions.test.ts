/** A wire between two services that is down for a while: all that goes over it waits, other things go on, and time passes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { choreography, event, service } from 'quadrille'
import { nodeSqlite } from 'quadrille/sqlite'
import { replay, simulate, simulatePhases, type SimulateOptions } from 'quadrille/simulate'
import * as z from 'zod'

const schema = z.object({ id: z.string() })
const plain = (type: string) => event(type, { key: 'id', schema })
const [Asked, Cut, Sewn, Done, Gone] = [plain('asked'), plain('cut'), plain('sewn'), plain('done'), plain('gone')]

/** Both parts come from the tailor. When both are late, the desk has given up; it looks at that, or does not. */
const talk = (looks: boolean) => {
  const isFirst = (db: { prepare(sql: string): { run(id: string): { changes: number | bigint } } }, id: string) =>
    !looks || Number(db.prepare('INSERT INTO verdict VALUES (?) ON CONFLICT DO NOTHING').run(id).changes) === 1
  return choreography('talk', {
    services: [
      service('tailor').on(Asked, { emits: [Cut, Sewn] }, ({ id }) => [Cut({ id }), Sewn({ id })]),
      service('desk', { db: nodeSqlite() })
        .all([Cut, Sewn], { name: 'hand over', emits: [Done] }, ([{ id }], { db }) =>
          isFirst(db, id) ? Done({ id }) : undefined,
        )
        .deadline(Asked, { name: 'give up', unless: [Done], within: '1h', emits: [Gone] }, ({ id }, { db }) =>
          isFirst(db, id) ? Gone({ id }) : undefined,
        ),
    ],
    starts: [Asked],
    ends: { success: [Done], failure: [Gone] },
    within: '1h',
  })
}
const options = {
  inputs: [{ id: 'a' }],
  setup: { desk: (_, { sqlite }) => sqlite.exec('CREATE TABLE verdict (id TEXT PRIMARY KEY)') },
  faults: ['link down'],
  budget: '60s',
  schedules: 200,
} satisfies SimulateOptions<{ id: string }>

test('a wire that is down over a deadline: found as one fault, and replayed', async () => {
  const report = await simulatePhases(talk(false), options, ['default', 'single'])
  const [finding] = report.findings
  assert.equal(finding?.code, 'TWO_ENDS', report.text())
  assert.ok(finding.reproduced && finding.constraints.length <= 2, report.text())
  assert.deepEqual(finding.steps, [
    'begin o1',
    'asked→tailor (link down)',
    'asked→desk',
    'time passes to desk',
    'outside→tailor is up again',
    'asked→tailor',
    'cut→desk',
    'sewn→desk',
  ])
  const again = await replay(talk(false), finding.schedule, options)
  assert.deepEqual(
    again.violations.map(({ code }) => code),
    ['TWO_ENDS'],
  )
})

test('the complete search knows a wire that is down from one that is not', async () => {
  const report = await simulatePhases(talk(false), { ...options, maxFaults: 1 }, ['exhaustive'])
  assert.equal(report.findings[0]?.code, 'TWO_ENDS', report.text())
  const right = await simulatePhases(talk(true), options, ['exhaustive'])
  assert.equal(right.ok, true, right.text())
  assert.equal(right.completeFaults, 2)
})

test('all that goes over a wire waits until it is up again, and what goes over others does not', async () => {
  const schedule = {
    quadrille: 'schedule', version: 1, choreography: 'talk', inputs: [{ id: 'a' }], violation: { code: 'TWO_ENDS', subject: '' },
    constraints: [
      { kind: 'hold', step: 'asked→desk', until: 'cut→desk' },
      { kind: 'fault', step: 'cut→desk', fault: 'link down' },
    ],
  } as const // prettier-ignore
  const { ok, steps } = await replay(talk(true), schedule, options)
  assert.equal(ok, true)
  assert.deepEqual(steps, [
    'begin o1',
    'asked→tailor',
    'cut→desk (link down)',
    'asked→desk',
    'tailor→desk is up again',
    'cut→desk',
    'sewn→desk',
    'time passes to desk',
  ])
})

test('whoever looks at what was decided is right, whatever wire is down for however long', async () => {
  const report = await simulate(talk(true), { ...options, conversations: 2, inputs: [{ id: 'a' }, { id: 'b' }] })
  assert.equal(report.ok, true, report.text())
})
