/** Each mistake is found without an invariant of the user's, and told in few constraints; the right shop is clean. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { replay, simulate } from 'quadrille/simulate'
import { shop, shopOptions, type Mistake } from './shop.ts'

/** What each mistake is found as: any of these codes is a true sentence about it. */
const mistakes: Readonly<Record<Mistake, readonly string[]>> = {
  'release overtakes reserve': ['COUNTER_NOT_RESTORED'],
  'completes without stock': ['SUCCESS_DESPITE', 'TWO_ENDS', 'COUNTER_DIFFERS'],
  'no deadline': ['NO_END'],
  'charge without a key': ['EFFECT_TWICE'],
  'failed from a catch': ['EFFECT_KEPT'],
  'never looks at its state': ['TWO_ENDS'],
  'mail too early': ['EFFECT_EARLY'],
  'no undo': ['EFFECT_KEPT'],
  'refunds only what it has recorded': ['EFFECT_KEPT'],
  'two releases': ['COUNTER_NOT_RESTORED'],
  'saves, then publishes': ['NO_START'],
}

for (const [mistake, codes] of Object.entries(mistakes) as [Mistake, readonly string[]][]) {
  test(`${mistake}: found, with at most four constraints, and found again by its schedule`, async () => {
    const report = await simulate(shop(mistake), { ...shopOptions(mistake), schedules: 2_000, budget: '60s' })
    const [finding] = report.findings
    assert.ok(finding, 'nothing was found')
    assert.ok(codes.includes(finding.code), `found as ${finding.code}: ${finding.sentence}`)
    assert.ok(finding.reproduced, 'the constraints alone lead there')
    assert.ok(finding.constraints.length <= 4, finding.sentence)
    const again = await replay(shop(mistake), finding.schedule, shopOptions(mistake))
    assert.deepEqual(
      again.violations.map(({ code }) => code).includes(finding.code),
      true,
      'the schedule that was kept shows it again',
    )
    const fixed = await replay(shop(), finding.schedule, shopOptions())
    assert.deepEqual(fixed.violations, [], 'the right shop holds under the same schedule')
  })
}

test('the right shop: nothing in any schedule with one fault, and nothing in random ones', async () => {
  const report = await simulate(shop(), { ...shopOptions(), maxFaults: 1, schedules: 500, budget: '120s' })
  assert.equal(report.text().includes('nothing found'), true, report.text())
  assert.equal(report.completeFaults, 1)
  assert.equal(report.randomSchedules, 500)
})
