/** The proof of the order application: every schedule of one order with up to two faults, and 50,000 random ones (10,000 outside of CI). */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { simulatePhases } from 'quadrille/simulate'
import { checkout } from '../src/choreography.ts'
import { simulation } from '../src/simulation.ts'

/** Far more than it takes on a quiet machine: a busy one must not make it wrong. */
const budget = '280s'
const randomSchedules = process.env['CI'] ? 50_000 : 10_000

test('every schedule of one order with up to two faults ends right, whatever is ordered', async () => {
  const report = await simulatePhases(checkout, { ...simulation, budget }, ['default', 'single', 'exhaustive'])
  assert.equal(report.ok, true, report.text())
  assert.equal(report.completeFaults, 2, report.text())
})

test(`${randomSchedules} random schedules of one to three orders end right`, async () => {
  const member = fileURLToPath(new URL('./simulation-member.ts', import.meta.url))
  const half = String(randomSchedules / 2)
  const run = (seed: string) =>
    promisify(execFile)(process.execPath, ['--conditions=quadrille-source', member, seed, half, budget])
  const told = await Promise.all([run('1'), run('2')])
  const counts = told.map(({ stdout }) => JSON.parse(stdout) as { random: number; findings: unknown[] })
  assert.deepEqual(
    counts.flatMap(({ findings }) => findings),
    [],
  )
  assert.equal(counts[0]!.random + counts[1]!.random, randomSchedules)
})
