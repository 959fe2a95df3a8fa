/** How long the check of a large choreography takes. */
import { check } from 'quadrille/check'
import { largeChoreography, type Shape } from './large-choreography.ts'
import { machine, meter } from './machine.ts'
import { median, round } from './statistics.ts'

export interface CheckSpeedOptions extends Shape {
  readonly rounds: number
}

export interface CheckSpeedResult {
  readonly services: number
  readonly reactions: number
  readonly runs: number
  readonly findings: number
  /** Median, and every round; the first one includes compilation. */
  readonly ms: number
  readonly rounds: readonly number[]
  readonly otherCores: number | null
  readonly machine: ReturnType<typeof machine>
}

/** Checks the same choreography again and again. */
export function checkSpeed({ rounds, ...shape }: CheckSpeedOptions): CheckSpeedResult {
  const declared = largeChoreography(shape)
  const read = meter()
  const times: number[] = []
  let report = check([])
  for (let index = 0; index < rounds; index++) {
    const began = performance.now()
    report = check(declared)
    times.push(round(performance.now() - began, 1))
  }
  const [flow] = report.flows
  return {
    services: flow!.services,
    reactions: flow!.reactions,
    runs: flow!.runs,
    findings: report.findings.length,
    ms: median(times),
    rounds: times,
    otherCores: read().otherCores,
    machine: machine(),
  }
}
