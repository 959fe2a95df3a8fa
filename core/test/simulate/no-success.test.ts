/** A choreography in which nothing goes wrong, and nothing ever goes well: mostly a condition that is never true. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { choreography, event, service } from 'quadrille'
import { simulate } from 'quadrille/simulate'
import * as z from 'zod'

const schema = z.object({ id: z.string() })
const Asked = event('asked', { key: 'id', schema })
const Answered = event('answered', { key: 'id', schema })
const GivenUp = event('given.up', { key: 'id', schema })

/** An answer comes when `knows` says so; otherwise the question is given up after an hour. */
const talk = (knows: (id: string) => boolean) =>
  choreography('talk', {
    services: [
      service('desk').on(Asked, { emits: [Answered] }, ({ id }) => (knows(id) ? Answered({ id }) : undefined)),
      service('asker').deadline(Asked, { unless: [Answered], within: '1h', emits: [GivenUp] }, ({ id }) =>
        GivenUp({ id }),
      ),
    ],
    starts: [Asked],
    ends: { success: [Answered], failure: [GivenUp] },
  })

const few = { schedules: 50, maxFaults: 0, budget: '30s', faults: ['duplicate'] } as const
const inputs = [{ id: 'a' }, { id: 'b' }]

test('whatever was tried, it has never succeeded: that is a finding', async () => {
  const report = await simulate(
    talk(() => false),
    { ...few, inputs },
  )
  assert.deepEqual(
    report.findings.map(({ code }) => code),
    ['NO_SUCCESS'],
  )
  assert.match(report.findings[0]!.message, /none of \d+ schedules has ended with answered/)
})

test('one input with which it succeeds is enough, and inputs that nobody has chosen prove nothing', async () => {
  const some = await simulate(
    talk((id) => id === 'b'),
    { ...few, inputs },
  )
  assert.deepEqual(some.findings, [])
  const unknown = await simulate(
    talk(() => false),
    few,
  )
  assert.deepEqual(unknown.findings, [])
})

test('it can be ignored', async () => {
  const report = await simulate(
    talk(() => false),
    { ...few, inputs, ignore: ['NO_SUCCESS'] },
  )
  assert.deepEqual(report.findings, [])
})
