/** What a simulation has to say in the end. */
import { QuadrilleError } from '../base/index.ts'
import type { Constraint } from './constraints.ts'
import { coverageText, mergedCoverage, type CoverageData } from './coverage.ts'
import type { Reading } from './sandbox.ts'
import type { Phase } from './search.ts'
import { constraintsText } from './tell.ts'

/** A schedule as it is kept in a file: a regression test that survives changes of the code. */
export interface Schedule {
  readonly quadrille: 'schedule'
  readonly version: 1
  readonly choreography: string
  /** What the conversations start with. */
  readonly inputs: readonly unknown[]
  readonly constraints: readonly Constraint[]
  readonly violation: { readonly code: string; readonly subject: string }
}

/** Something that can go wrong, with the smallest schedule in which it does. */
export interface Finding {
  /** Which rule is broken: see docs/verify.md. */
  readonly code: string
  readonly subject: string
  readonly message: string
  /** All of it in one sentence. */
  readonly sentence: string
  readonly constraints: readonly Constraint[]
  /** The steps, one a line. */
  readonly steps: readonly string[]
  /** A sequence diagram in Mermaid. */
  readonly diagram: string
  /** To be kept as a `*.schedule.json`. */
  readonly schedule: Schedule
  /** True when the constraints alone lead there; otherwise only the seed does. */
  readonly reproduced: boolean
  readonly phase: Phase
  /** How many schedules it took to find. */
  readonly schedules: number
}

/** The result of {@link simulate}. */
export interface SimulationReport {
  readonly choreography: string
  readonly ok: boolean
  readonly findings: readonly Finding[]
  /** Handlers that read the clock, randomness or ids of the machine. They got those of the simulation. */
  readonly readings: readonly Reading[]
  /** Calls that were answered by a fake that stands for everything, because they tried to reach the real world. */
  readonly answered: readonly { readonly reaction: string; readonly tried: string }[]
  readonly seed: number
  readonly schedules: number
  readonly steps: number
  /** Different states of the exhaustive search. */
  readonly states: number
  /**
   * One conversation was searched completely with up to so many faults, of all that were allowed; -1 for not even without any.
   */
  readonly completeFaults: number
  readonly randomSchedules: number
  /** The estimated share of random schedules that would end in a way not seen before. */
  readonly unseen: number
  /** What was seen, and what not. */
  readonly coverage: CoverageData
  readonly durationMs: number
  /** The same for two searches of the same seed that did the same, to the last step. */
  readonly traceHash: string
  /** All of it as plain data. */
  readonly data: ReportData
  /** All of it for people. */
  text(): string
  /** @throws QuadrilleError `SIMULATION_FOUND` with the first finding. */
  mustHold(): void
}

/** A report as plain data. */
export type ReportData = Omit<SimulationReport, 'text' | 'mustHold' | 'ok' | 'data'>

/** One report of several that have searched in different parts; the first decides what is complete. */
export function mergeReports(parts: readonly ReportData[]): SimulationReport {
  const sum = (of: (part: ReportData) => number) => parts.reduce((total, part) => total + of(part), 0)
  return reportOf({
    ...parts[0]!,
    findings: parts.flatMap((part) => part.findings),
    readings: parts.flatMap((part) => part.readings),
    answered: parts.flatMap((part) => part.answered),
    schedules: sum((part) => part.schedules),
    steps: sum((part) => part.steps),
    states: sum((part) => part.states),
    randomSchedules: sum((part) => part.randomSchedules),
    completeFaults: Math.max(...parts.map((part) => part.completeFaults)),
    unseen: Math.min(...parts.map((part) => part.unseen)),
    coverage: mergedCoverage(parts.map((part) => part.coverage)),
    durationMs: Math.max(...parts.map((part) => part.durationMs)),
  })
}

export function reportOf(data: ReportData): SimulationReport {
  return {
    ...data,
    data,
    ok: data.findings.length === 0,
    text: () => reportText(data),
    mustHold() {
      const [first] = data.findings
      if (first)
        throw new QuadrilleError('SIMULATION_FOUND', { choreography: data.choreography, finding: findingText(first) })
    },
  }
}

/** A finding for people. */
export function findingText(finding: Finding): string {
  const { code, sentence, constraints, steps, diagram, phase, schedules } = finding
  const again = finding.reproduced ? '' : '\n(the constraints alone do not lead there; the seed does)'
  return [
    `${code}: ${sentence}`,
    `found in schedule ${schedules} (${phase}), ${constraints.length} constraint${constraints.length === 1 ? '' : 's'}:`,
    constraintsText(constraints) + again,
    'steps:',
    ...steps.map((step) => `  ${step}`),
    '```mermaid',
    diagram.trimEnd(),
    '```',
  ].join('\n')
}

function reportText(data: ReportData): string {
  const { choreography, findings, completeFaults, states, schedules, randomSchedules, unseen, readings, answered } =
    data
  const seconds = (data.durationMs / 1000).toFixed(1)
  const complete =
    completeFaults < 0
      ? 'not complete even without faults'
      : `complete up to ${completeFaults} fault${completeFaults === 1 ? '' : 's'} for one conversation`
  const random =
    randomSchedules === 0 ? '' : `, ${randomSchedules} random, chance of an unseen end ${(unseen * 100).toFixed(1)} %`
  return [
    `${choreography}: ${findings.length === 0 ? 'nothing found' : `${findings.length} finding${findings.length === 1 ? '' : 's'}`}`,
    `${schedules} schedules in ${seconds} s (seed ${data.seed}), ${states} states, ${complete}${random}`,
    ...(findings.length === 0 ? [coverageText(data.coverage)] : []),
    ...findings.map((finding) => `\n${findingText(finding)}`),
    ...readings.map(({ handler, what }) => `note: ${handler} reads ${what}; in a simulation it gets the simulation's`),
    ...answered.map(
      ({ reaction, tried }) =>
        `note: ${reaction} tried ${tried}; a fake that never refuses answered it; give \`outside\` for more`,
    ),
  ].join('\n')
}
