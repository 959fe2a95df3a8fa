/** What a search says it has seen: races in both orders, what is emitted, and faults at the steps where they can happen. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { choreography, event, service } from 'quadrille'
import { mergeReports, simulate, simulatePhases, type SimulateOptions } from 'quadrille/simulate'
import * as z from 'zod'

const schema = z.object({ id: z.string() })
const plain = (type: string) => event(type, { key: 'id', schema })
const [Asked, Left, Right, Done, Never] = [plain('asked'), plain('left'), plain('right'), plain('done'), plain('never')]
const talk = choreography('talk', {
  services: [
    service('one').on(Asked, { emits: [Left, Never] }, ({ id }) => Left({ id })),
    service('two').on(Asked, { emits: [Right] }, ({ id }) => Right({ id })),
    service('desk').all([Left, Right], { name: 'both', emits: [Done] }, ([{ id }]) => Done({ id })),
  ],
  starts: [Asked],
  ends: { success: [Done] },
})
const options: SimulateOptions<{ id: string }> = {
  inputs: [{ id: 'a' }, { id: 'b' }],
  faults: ['duplicate'],
  budget: '60s',
  schedules: 100,
  conversations: 2,
}

test('the default schedule alone sees each race in one order, and says which it has not seen the other way round', async () => {
  const report = await simulatePhases(talk, options, ['default'])
  const { coverage } = report
  assert.deepEqual([coverage.races.seen, coverage.races.of], [0, 1])
  assert.deepEqual(coverage.races.missing, ['left→desk and right→desk'])
  assert.deepEqual(coverage.emits, { seen: 3, of: 4, missing: ['one/asked never'] })
  assert.deepEqual([coverage.faults.seen, coverage.faults.of], [0, 4])
  assert.match(report.text(), /seen: 0 of 1 races in both orders, 3 of 4 emitted types, 0 of 4 faults at steps/)
})

test('a whole search sees all of it, the races of two conversations among them', async () => {
  const { coverage } = await simulate(talk, options)
  assert.deepEqual(coverage.races.missing, [])
  assert.ok(coverage.races.of > 1)
  assert.deepEqual([coverage.faults.seen, coverage.faults.missing], [4, []])
})

test('races that were seen in one order only are tried the other way round, without any random schedule', async () => {
  const { coverage } = await simulatePhases(talk, { ...options, schedules: 0 }, ['default', 'random'])
  assert.ok(coverage.races.of > 1)
  assert.deepEqual(coverage.races.missing, [])
})

test('so are those of two conversations that the order of things hides, and faults that are not allowed are not missed', async () => {
  const desk = service('desk')
    .on(Asked, { name: 'open', call: () => 'opened' }, () => {})
    .on(Left, { name: 'close', emits: [Done] }, ({ id }) => Done({ id }))
    .deadline(Asked, { name: 'remind', unless: [Done], within: '1h' }, () => {})
  const services = [service('one').on(Asked, { emits: [Left] }, ({ id }) => Left({ id })), desk]
  const hidden = choreography('talk', { services, starts: [Asked], ends: { success: [Done] } })
  const { coverage } = await simulatePhases(hidden, { ...options, schedules: 0 }, ['default', 'random'])
  assert.deepEqual(coverage.races.missing, [])
  assert.ok(coverage.faults.missing.length > 0)
  assert.deepEqual(
    coverage.faults.missing.filter((each) => !each.startsWith('duplicate at ')),
    [],
  )
})

test('of several parts of a search, the one that has seen the most says what was seen', async () => {
  const little = (await simulatePhases(talk, options, ['default'])).data
  const all = (await simulate(talk, options)).data
  for (const parts of [[little, all], [all, little]]) assert.deepEqual(mergeReports(parts).coverage, all.coverage) // prettier-ignore
})
