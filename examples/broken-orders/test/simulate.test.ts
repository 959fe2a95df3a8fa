/** Every variant that does harm is found by simulation, at most four constraints from the default schedule. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { replay, simulate, simulatePhases } from 'quadrille/simulate'
import type { Choreography } from 'quadrille'
import type { Outside } from '@quadrille/example-orders/choreography'
import { variants, type Broken } from '../src/index.ts'
import { simulationOf } from '../src/simulation.ts'

const danceOf =
  (variant: Broken) =>
  (outside: Outside): Choreography =>
    variant.choreography(outside)

for (const variant of variants.filter(({ simulate: wanted }) => wanted !== null)) {
  test(`${variant.name}: ${variant.simulate}`, async () => {
    const options = simulationOf(variant)
    const report = await simulate(danceOf(variant), { ...options, budget: '120s', maxFaults: 1, schedules: 1_000 })
    const [finding] = report.findings
    assert.ok(finding, report.text())
    assert.ok(finding.reproduced && finding.constraints.length <= 4, report.text())
    const again = await replay(danceOf(variant), finding.schedule, options)
    assert.ok(
      again.violations.some(({ code }) => code === finding.code),
      'its schedule shows it again',
    )
  })
}

/** What is found by chance alone too, so that a larger application is no worse off. */
const byChance = [
  'charges-twice',
  'decides-twice',
  'release-before-reserve',
  'refund-by-hand',
  'releases-twice',
  'stale-view',
]

for (const variant of variants.filter(({ name }) => byChance.includes(name))) {
  test(`${variant.name} is found by random schedules alone, whatever the seed`, async () => {
    for (const seed of [1, 2, 3]) {
      const options = { ...simulationOf(variant), budget: '120s', schedules: 2_000, seed } as const
      const { findings } = await simulatePhases(danceOf(variant), options, ['random'])
      assert.equal(findings.length, 1, `seed ${seed}`)
    }
  })
}

test('a hasty deadline does no harm that a simulation could see', async () => {
  const variant = variants.find(({ name }) => name === 'hasty-deadline')!
  const report = await simulate(danceOf(variant), {
    ...simulationOf(variant),
    budget: '120s',
    maxFaults: 0,
    schedules: 50,
  })
  assert.equal(report.ok, true, report.text())
})
