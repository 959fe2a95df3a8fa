/**
 * Plays a choreography on paper: the least set of occurrences and steps that follows from a start, when some steps are
 * missing and each step emits what the scenario says.
 *
 * Behind an end the choreography is over: what the ends lead to (mails, undo) is played too, but told apart from what
 * happens before. Timers act only where nothing else has ended it, and only those that nothing has settled.
 */
import type { Model, Step } from './model.ts'

/** What each step emits, by its id. */
export type Outputs = readonly (readonly number[])[]

/** How to play. */
export interface Scenario {
  readonly roots: readonly number[]
  readonly outputs: Outputs
  /** A step that never acts. */
  readonly without?: Step | undefined
  /** When time passes: `last`, when nothing else has ended it (default), `never`, or `always`, whatever else happens. */
  readonly timers?: 'last' | 'never' | 'always'
}

/** Marks of an occurrence that has not been reached, and of one that nobody emitted: a start. */
const unreached = -2
const started = -1

/** Marks of a step. */
const idle = 0
const actedBefore = 1
const actedBehind = 2

// Thousands are played and kept, so they are a few flat arrays and no maps.
/** What came of it. */
export class Play {
  readonly #model: Model
  readonly #scenario: Scenario
  /** For each occurrence, the step that emitted it. */
  readonly #cause: Int32Array
  readonly #acted: Uint8Array
  /** For each need of each step, what has met it. */
  readonly #met: Int32Array
  /** For each step, how many of its needs are met. */
  readonly #metCount: Uint16Array
  readonly #ends: number[] = []
  #beyond = false
  /** True when an end came only because time had passed. */
  readonly byTimer: boolean
  /** How many arcs of the graph were followed: what playing costs. */
  work = 0

  constructor(model: Model, scenario: Scenario) {
    this.#model = model
    this.#scenario = scenario
    this.#cause = new Int32Array(model.occurrences.length).fill(unreached)
    this.#acted = new Uint8Array(model.steps.length)
    this.#met = new Int32Array(model.needCount).fill(unreached)
    this.#metCount = new Uint16Array(model.steps.length)
    for (const step of model.spontaneous) if (this.#act(step)) this.#emit(step)
    for (const root of scenario.roots) this.#reach(root, started)
    let expired = false
    if ((scenario.timers ?? 'last') === 'last') {
      while (this.#ends.length === 0 && this.#expire()) expired = true
    }
    this.byTimer = expired && this.#ends.length > 0
    this.#beyond = true
    for (const end of this.#ends) this.#follow(end)
  }

  reached(id: number): boolean {
    return this.#cause[id]! !== unreached
  }

  /** Everything that was reached. */
  get all(): number[] {
    return [...this.#cause.keys()].filter((id) => this.reached(id))
  }

  /** The step that emitted it; undefined for a start, and for what was not reached. */
  causeOf(id: number): Step | undefined {
    return this.#model.steps[this.#cause[id]!]
  }

  /** Whether the step acted, before or after an end. */
  did(step: Step): boolean {
    return this.#acted[step.id] !== idle
  }

  /** Whether the step acted before any end. */
  didBefore(step: Step): boolean {
    return this.#acted[step.id] === actedBefore
  }

  actedOn({ id, needs }: Step): number[] {
    const first = this.#model.needOffsets[id]!
    return [...this.#met.subarray(first, first + needs.length)].filter((met) => met !== unreached)
  }

  /** The first successful end that was reached. */
  get success(): number | undefined {
    return this.#ends.find((id) => this.#model.success.has(id))
  }

  get failure(): number | undefined {
    return this.#ends.find((id) => this.#model.failure.has(id) && !this.#model.success.has(id))
  }

  get ended(): boolean {
    return this.#ends.length > 0
  }

  #reach(id: number, by: number): void {
    if (this.#cause[id] !== unreached) return
    this.#cause[id] = by
    const open = [id]
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      // A start may be an end as well: a choreography of one event.
      if (!this.#beyond && this.#model.isEnd(at)) this.#ends.push(at)
      else this.#arrive(at, open)
    }
  }

  #follow(id: number): void {
    const open: number[] = []
    this.#arrive(id, open)
    for (let at = open.pop(); at !== undefined; at = open.pop()) this.#arrive(at, open)
  }

  /** Lets all steps act that the occurrence was missing for; what they emit for the first time goes to `open`. */
  #arrive(id: number, open: number[]): void {
    const { consumers, steps, needOffsets } = this.#model
    for (const { step, need } of consumers[id]!) {
      this.work++
      const place = needOffsets[step.id]! + need
      if (this.#met[place] === unreached) {
        this.#met[place] = id
        this.#metCount[step.id]!++
      }
      if (step.timer && this.#scenario.timers !== 'always') continue
      if (this.#isReady(step) && this.#act(step)) this.#spread(step, open)
      // An action that comes after the event that undoes it.
      const undo = steps[step.id + 1]
      if (undo?.after === step.id && this.#isReady(undo) && this.#act(undo)) this.#spread(undo, open)
    }
  }

  #spread({ id }: Step, open: number[]): void {
    for (const out of this.#scenario.outputs[id]!) {
      if (this.#cause[out] !== unreached) continue
      this.#cause[out] = id
      open.push(out)
    }
  }

  #emit({ id }: Step): void {
    for (const out of this.#scenario.outputs[id]!) this.#reach(out, id)
  }

  #isReady({ id, after, mode, needs }: Step): boolean {
    if (after !== undefined && this.#acted[after] === idle) return false
    const met = this.#metCount[id]!
    return mode === 'all' ? met === needs.length : met > 0
  }

  #act(step: Step): boolean {
    if (this.#acted[step.id] !== idle || step === this.#scenario.without) return false
    this.#acted[step.id] = this.#beyond ? actedBehind : actedBefore
    return true
  }

  /** Lets the time of everything pass that is still open; false when there is nothing. */
  #expire(): boolean {
    let any = false
    for (const step of this.#model.timers) {
      if (!this.#isReady(step) || this.#isSettled(step) || !this.#act(step)) continue
      any = true
      this.#emit(step)
    }
    return any
  }

  #isSettled({ timer, part, needs, id }: Step): boolean {
    if (part === 'late') return this.#metCount[id] === needs.length
    for (const settling of timer!.unless) if (this.reached(settling)) return true
    return false
  }
}
