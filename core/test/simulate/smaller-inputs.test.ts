/** What conversations start with is made as small as the schedule: the smallest input stands in the file that is kept. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { choreography, event, service } from 'quadrille'
import { replay, simulate } from 'quadrille/simulate'
import * as z from 'zod'

const schema = z.object({ id: z.string(), units: z.number(), notes: z.array(z.string()) })
const Asked = event('asked', { key: 'id', schema })
const Given = event('given', { key: 'id', schema })

/** Nothing is given to whoever asks for seven or more, in two conversations or in one. */
const talk = choreography('talk', {
  services: [service('store').on(Asked, { emits: [Given] }, (wish) => (wish.units >= 7 ? undefined : Given(wish)))],
  starts: [Asked],
  ends: { success: [Given] },
})
const inputs = fc.record({
  id: fc.stringMatching(/^[a-z]{2,8}$/),
  units: fc.nat(1_000),
  notes: fc.array(fc.string(), { maxLength: 5 }),
})

test('an arbitrary: the smallest input that shows it, in the finding and in its schedule', async () => {
  for (const seed of [1, 2, 3]) {
    const report = await simulate(talk, { inputs, seed, schedules: 300, budget: '60s' })
    const [finding] = report.findings
    assert.equal(finding?.code, 'NO_END', report.text())
    const [input, more] = finding.schedule.inputs as z.infer<typeof schema>[]
    assert.equal(more, undefined, 'one conversation is enough')
    assert.deepEqual({ ...input, id: '' }, { id: '', units: 7, notes: [] })
    assert.equal(input!.id.length, 2)
    const again = await replay(talk, finding.schedule)
    assert.deepEqual(
      again.violations.map(({ code }) => code),
      ['NO_END'],
    )
  }
})
