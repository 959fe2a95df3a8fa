/** Runs schedules one after the other and judges them. */
import { createHash } from 'node:crypto'
import { QuadrilleError } from '../base/index.ts'
import { baselineOf, counters, type Baseline } from './baseline.ts'
import { defaultChooser, oneByOne } from './choosers.ts'
import { Coverage } from './coverage.ts'
import { looking } from './looking.ts'
import { redeliver } from './redelivery.ts'
import { judgeEnd, masked } from './oracles.ts'
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
  readonly coverage: Coverage
  /** Steps of all of them. */
  steps = 0
  /** A conversation of one of them has ended well. */
  hasSucceeded = false
  readonly #hash = createHash('md5')
  readonly #judged = new Map<string, readonly Violation[]>()
  readonly #inRow = new Map<string, Set<string>>()
  readonly #baselines = new Map<string, Baseline | undefined>()

  constructor(stage: Stage) {
    this.stage = stage
    this.coverage = new Coverage(stage)
    stage.did = (step, enabled) => this.coverage.did(step, enabled)
    this.allowed = new Set(stage.options.faults ?? faultKinds.filter((fault) => fault !== 'takeover'))
  }

  /** The same for two searches that did the same, to the last step. */
  get traceHash(): string {
    return this.#hash.copy().digest('hex')
  }

  /** Runs one schedule; `meet` is handed the run before it begins. */
  async trial(chooser: Chooser, inputs: readonly unknown[], meet?: (run: SimRun) => void): Promise<Trial> {
    const baselines: (Baseline | undefined)[] = []
    for (const input of inputs) {
      const name = JSON.stringify(input) ?? ''
      const isKnown = this.#baselines.has(name)
      baselines.push(isKnown ? this.#baselines.get(name) : await this.#makeBaseline(name, input))
    }
    return this.#trial(chooser, inputs, { meet, judge: (run) => this.#judge(run, baselines) })
  }

  /** What a conversation with this input does by default; undefined when even that goes wrong. */
  async #makeBaseline(name: string, input: unknown): Promise<Baseline | undefined> {
    const { run, quiescent } = await this.#trial(defaultChooser, [input], {})
    const baseline = quiescent && run.violations.length === 0 ? await baselineOf(run) : undefined
    this.#baselines.set(name, baseline)
    return baseline
  }

  /**
   * What the counters come to when these conversations are had one after the other, in each order, and all of them end
   * well.
   */
  async inRow(inputs: readonly unknown[]): Promise<ReadonlySet<string>> {
    const name = JSON.stringify(inputs)
    let known = this.#inRow.get(name)
    if (!known) {
      this.#inRow.set(name, (known = new Set()))
      for (const order of permutations(inputs)) {
        const { run, quiescent } = await this.#trial(oneByOne, order, {})
        const allWell = quiescent && run.book.talks.every(({ outcome }) => outcome === 'success')
        if (allWell) known.add(await looking(() => counters(run.stage, run.states)))
      }
    }
    return known
  }

  /** What is wrong with a schedule of one conversation when it is done again, or when everything is delivered again. */
  async afterwards(run: SimRun): Promise<readonly Violation[]> {
    const { talks } = run.book
    const ignored = this.stage.options.ignore ?? []
    if (talks.length !== 1 || run.trace.some(({ fault }) => fault !== undefined)) return []
    const repeated = ignored.includes('NOT_REPEATABLE') ? undefined : (await this.repeat(talks[0]!.input)).violation
    if (repeated) return [repeated]
    const redelivered = await redeliver(this, run)
    return redelivered ? [redelivered] : []
  }

  /** The default schedule once more, every step really done, by a new process: does it come to the same? */
  async repeat(input: unknown): Promise<Trial> {
    this.stage.doubts = true
    try {
      return await this.#trial(defaultChooser, [input], {})
    } finally {
      this.stage.doubts = false
    }
  }

  /** Two schedules that come to the same end in the same way are judged once. */
  async #judge(run: SimRun, baselines: readonly (Baseline | undefined)[]): Promise<void> {
    let key = `${run.seen}\n${run.outcomes > 0} ${run.faults.every((fault) => masked.has(fault))} ${[...run.hoped()].join()}`
    for (const { inputText, outcome } of run.book.talks) key += `\n${outcome} ${inputText}`
    const known = this.#judged.get(key)
    if (known) for (const { code, subject, message } of known) run.violate(code, subject, message)
    else {
      await judgeEnd(run, baselines, (inputs) => this.inRow(inputs))
      this.#judged.set(key, run.violations)
    }
  }

  async #trial(
    chooser: Chooser,
    inputs: readonly unknown[],
    how: { readonly meet?: ((run: SimRun) => void) | undefined; readonly judge?: (run: SimRun) => Promise<void> },
  ): Promise<Trial> {
    const run = new SimRun(this.stage, chooser, inputs)
    how.meet?.(run)
    const quiescent = await run.run()
    if (quiescent) await how.judge?.(run)
    this.schedules += 1
    this.coverage.take(run)
    this.steps += run.trace.length
    this.hasSucceeded ||= run.book.talks.some(({ outcome }) => outcome === 'success')
    let told = run.seen
    for (const { name, fault, outcome } of run.trace) told += `\n${name}|${fault ?? ''}|${outcome ?? ''}`
    this.#hash.update(`${told}\n\n`)
    return { run, quiescent, violation: run.violations[0] }
  }
}

function permutations<T>(items: readonly T[]): readonly (readonly T[])[] {
  if (items.length < 2) return [items]
  return items.flatMap((item, index) =>
    permutations([...items.slice(0, index), ...items.slice(index + 1)]).map((rest) => [item, ...rest]),
  )
}

/** @throws QuadrilleError `SIMULATION_INVALID` when the run has nothing to say about any conversation. */
export function mustHaveBegun({ run }: Trial): void {
  if (run.book.talks.some((talk) => talk.begun || talk.start !== undefined)) return
  throw new QuadrilleError('SIMULATION_INVALID', {
    problem: '`begin` has neither saved anything nor published an event',
  })
}
