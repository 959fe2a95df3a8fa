/** Runs schedules one after the other and judges them. */
import { hash } from 'node:crypto'
import { QuadrilleError } from '../base/index.ts'
import { baselineOf, type Baseline } from './baseline.ts'
import { defaultChooser } from './choosers.ts'
import { finalState } from './fingerprint.ts'
import { judgeEnd } from './oracles.ts'
import { faultKinds, type Chooser, type FaultKind, type Violation } from './schedule-types.ts'
import { SimRun } from './sim-run.ts'
import type { Stage } from './stage.ts'

/** A schedule that has been run. */
export interface Trial {
  readonly run: SimRun
  /** False when it was left before its end. */
  readonly quiescent: boolean
  readonly violation: Violation | undefined
}

/** See the top of this file. */
export class Lab {
  readonly stage: Stage
  readonly allowed: ReadonlySet<FaultKind>
  /** How many schedules have been run. */
  schedules = 0
  /** Steps of all of them. */
  steps = 0
  #hash = ''
  readonly #baselines = new Map<string, Baseline | undefined>()

  constructor(stage: Stage) {
    this.stage = stage
    this.allowed = new Set(stage.options.faults ?? faultKinds)
  }

  /** The same for two searches that did the same, to the last step. */
  get traceHash(): string {
    return this.#hash
  }

  /** Runs one schedule; `meet` is handed the run before it begins. */
  async trial(chooser: Chooser, inputs: readonly unknown[], meet?: (run: SimRun) => void): Promise<Trial> {
    const baselines: (Baseline | undefined)[] = []
    for (const input of inputs) baselines.push(await this.baseline(input))
    return this.#trial(chooser, inputs, { meet, judge: (run) => judgeEnd(run, baselines) })
  }

  /** What a conversation with this input does by default; undefined when even that goes wrong. */
  async baseline(input: unknown): Promise<Baseline | undefined> {
    const name = JSON.stringify(input) ?? ''
    if (this.#baselines.has(name)) return this.#baselines.get(name)
    const { run, quiescent } = await this.#trial(defaultChooser, [input], {})
    const baseline = quiescent && run.violations.length === 0 ? baselineOf(run) : undefined
    this.#baselines.set(name, baseline)
    return baseline
  }

  async #trial(
    chooser: Chooser,
    inputs: readonly unknown[],
    how: { readonly meet?: ((run: SimRun) => void) | undefined; readonly judge?: (run: SimRun) => void },
  ): Promise<Trial> {
    const run = new SimRun(this.stage, chooser, inputs)
    how.meet?.(run)
    const { sandbox } = this.stage
    sandbox.env = run.env
    const quiescent = await run.run()
    run.env.invocation = undefined
    if (quiescent) how.judge?.(run)
    this.schedules += 1
    this.steps += run.trace.length
    const told = run.trace.map(({ name, fault, outcome }) => `${name}|${fault ?? ''}|${outcome ?? ''}`)
    this.#hash = hash('md5', `${this.#hash}\n${told.join('\n')}\n${finalState(run)}`)
    return { run, quiescent, violation: run.violations[0] }
  }
}

/** @throws QuadrilleError `SIMULATION_INVALID` when the run has nothing to say about any conversation. */
export function mustHaveBegun({ run }: Trial): void {
  if (run.book.talks.some((talk) => talk.begun || talk.start !== undefined)) return
  throw new QuadrilleError('SIMULATION_INVALID', {
    problem: '`begin` has neither saved anything nor published an event',
  })
}
