/** A process of its own for random schedules: seed, how many, and the most time. */
import type { Duration } from 'quadrille'
import { simulatePhases } from 'quadrille/simulate'
import { checkout } from '../src/choreography.ts'
import { simulation } from '../src/simulation.ts'

const [seed, schedules, budget] = process.argv.slice(2)
const options = { ...simulation, seed: Number(seed), schedules: Number(schedules), budget: budget as Duration }
const report = await simulatePhases(checkout, options, ['random'])
console.log(JSON.stringify({ random: report.randomSchedules, findings: report.findings }))
