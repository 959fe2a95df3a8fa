/** simulate(): runs a choreography under every order of events and every fault that matters. */
import { durationMs, QuadrilleError } from '../base/index.ts'
import { Constrained, type Constraint } from './constraints.ts'
import { Lab } from './lab.ts'
import type { SimulateOptions, SimulationOptions, Subject } from './options.ts'
import { reportOf, type Finding, type Schedule, type SimulationReport } from './report.ts'
import type { Violation } from './schedule-types.ts'
import { Search, type Hit, type Phase, type SearchSettings } from './search.ts'
import { shrink } from './shrink.ts'
import { Stage } from './stage.ts'
import { scheduleDiagram, sentenceOf } from './tell.ts'
import type { SimRun } from './sim-run.ts'

/**
 * Simulates a choreography: the real services, unmodified, on the real runtime, each on a ledger in memory, joined by
 * simulated wires. Looks for a schedule in which something goes wrong, and makes it as small as it can.
 *
 * On return everything was tried that the budget allows, or something was found. The same seed and numbers of schedules
 * give the same result to the last step; a budget in seconds does not decide what is tried, only how much. While it runs,
 * handlers can not reach the clock, timers, randomness and the network of the machine; one simulation runs at a time in a process.
 *
 * @throws QuadrilleError `SIMULATION_INVALID` when there is nothing to simulate; `SIMULATION_ESCAPED` when a handler waits
 *   for something that is not simulated; what `begin` and `outside` throw.
 *
 * @example
 * ```ts run
 * import { choreography, event, service } from 'quadrille'
 * import { simulate } from 'quadrille/simulate'
 * import * as z from 'zod'
 *
 * const Asked = event('asked', { key: 'id', schema: z.object({ id: z.string() }) })
 * const Answered = event('answered', { key: 'id', schema: z.object({ id: z.string() }) })
 * const oracle = service('oracle').on(Asked, { emits: [Answered] }, ({ id }) => Answered({ id }))
 * const talk = choreography('talk', { services: [oracle], starts: [Asked], ends: { success: [Answered] } })
 *
 * const report = await simulate(talk, { schedules: 50, faults: ['duplicate', 'crash before commit', 'crash after commit'] })
 * report.ok // => true
 * ```
 */
export async function simulate<Input = unknown, Outside = unknown>(
  subject: Subject<Outside>,
  options: SimulateOptions<Input, Outside> = {},
): Promise<SimulationReport> {
  return simulatePhases(subject, options, ['default', 'single', 'exhaustive', 'random'])
}

/** The same, with some parts of the search left out: what a worker of several does. */
export async function simulatePhases<Input = unknown, Outside = unknown>(
  subject: Subject<Outside>,
  options: SimulateOptions<Input, Outside>,
  phases: readonly Phase[],
): Promise<SimulationReport> {
  return onStage(subject, options, async (lab) => {
    const settings = settingsOf(options as SimulateOptions, phases)
    const search = new Search(lab, settings)
    const hit = await search.run()
    const { traceHash } = lab
    const findings = hit ? [await findingOf(lab, hit)] : []
    const { stage } = lab
    return reportOf({
      choreography: stage.choreography.name,
      findings,
      readings: [...stage.sandbox.readings.values()],
      answered: [...stage.auto.blocked].map(([reaction, tried]) => ({ reaction, tried })),
      seed: settings.seed,
      schedules: lab.schedules,
      steps: lab.steps,
      states: search.states,
      completeFaults: search.complete,
      randomSchedules: search.random,
      unseen: search.random === 0 ? 1 : search.unseen,
      coverage: lab.coverage.data(lab.allowed),
      durationMs: search.elapsedMs,
      traceHash,
    })
  })
}

/** What came of a schedule that was kept. */
export interface Replay {
  /** True when nothing went wrong this time. */
  readonly ok: boolean
  readonly violations: readonly Violation[]
  readonly diagram: string
  readonly steps: readonly string[]
}

/**
 * Runs a schedule that was kept, on the choreography as it is now. Constraints on steps that no longer exist are ignored.
 *
 * @throws QuadrilleError `SCHEDULE_INVALID`, and what {@link simulate} throws.
 */
export async function replay<Input = unknown, Outside = unknown>(
  subject: Subject<Outside>,
  schedule: Schedule,
  options: SimulationOptions<Input, Outside> = {},
): Promise<Replay> {
  const problem = scheduleProblem(schedule)
  if (problem !== undefined) throw new QuadrilleError('SCHEDULE_INVALID', { problem })
  return onStage(subject, options, async (lab) => {
    const { run } = await lab.trial(new Constrained(schedule.constraints), schedule.inputs)
    const violations = [...run.violations, ...(await lab.afterwards(run))]
    const [first] = violations
    return {
      ok: first === undefined,
      violations,
      diagram: scheduleDiagram(run, first ?? { code: 'HOLDS', subject: '', message: 'nothing went wrong' }),
      steps: stepsOf(run),
    }
  })
}

function scheduleProblem(schedule: Schedule): string | undefined {
  if (typeof schedule !== 'object' || schedule === null || schedule.quadrille !== 'schedule')
    return 'it has no `"quadrille": "schedule"`'
  if (schedule.version !== 1) return `its version is ${String(schedule.version)}, and only 1 is known here`
  if (!Array.isArray(schedule.inputs) || schedule.inputs.length === 0) return 'it has no inputs'
  return Array.isArray(schedule.constraints) ? undefined : 'it has no list of constraints'
}

let isRunning = false

async function onStage<Input, Outside, Result>(
  subject: Subject<Outside>,
  options: SimulationOptions<Input, Outside>,
  work: (lab: Lab) => Promise<Result>,
): Promise<Result> {
  if (isRunning) throw new QuadrilleError('SIMULATION_INVALID', { problem: 'another simulation runs in this process' })
  isRunning = true
  try {
    const stage = await Stage.build(subject as Subject, options as SimulationOptions)
    try {
      stage.sandbox.install()
      return await work(new Lab(stage))
    } finally {
      stage.sandbox.remove()
      stage.close()
    }
  } finally {
    isRunning = false
  }
}

function settingsOf(options: SimulateOptions, phases: readonly Phase[]): SearchSettings {
  const {
    seed = 1,
    budget = '10s',
    maxFaults = 2,
    schedules = Infinity,
    conversations = 3,
    progress = () => {},
  } = options
  return {
    seed, maxFaults, schedules, conversations, progress,
    budgetMs: durationMs(budget, 'budget'),
    phases: new Set(phases),
  } // prettier-ignore
}

/** What is seen when all is over, by doing something again: it needs no constraints. */
const afterwards: ReadonlySet<string> = new Set(['NOT_REPEATABLE', 'REDELIVERY', 'NO_SUCCESS'])

async function findingOf(lab: Lab, hit: Hit): Promise<Finding> {
  const violation = hit.trial.violation!
  const shrunk = afterwards.has(violation.code) ? undefined : await shrink(lab, hit)
  const { run } = shrunk?.trial ?? hit.trial
  const constraints: readonly Constraint[] = shrunk?.constraints ?? hit.recording.constraints(run.trace)
  const shown = shrunk?.trial.violation ?? violation
  const { code, subject, message } = shown
  return {
    code, subject, message, constraints,
    sentence: sentenceOf(shown, constraints),
    steps: stepsOf(run),
    diagram: scheduleDiagram(run, shown),
    schedule: {
      quadrille: 'schedule', version: 1,
      choreography: lab.stage.choreography.name,
      inputs: run.book.talks.map((talk) => talk.input),
      constraints,
      violation: { code, subject },
    },
    reproduced: shrunk !== undefined || afterwards.has(violation.code),
    phase: hit.phase,
    schedules: hit.schedules,
  } // prettier-ignore
}

const stepsOf = (run: SimRun): string[] =>
  run.trace.map(({ name, kind, fault, outcome }) =>
    kind === 'outcome' ? `${name} = ${outcome}` : fault === undefined ? name : `${name} (${fault})`,
  )
