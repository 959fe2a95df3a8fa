/**
 * Plays a choreography on paper: the least set of occurrences and steps that follows from a start, when some steps are
 * missing and each step emits what the scenario says.
 *
 * Behind an end the choreography is over. What is reached before one is `main`; what the ends lead to (mails, undo) is
 * `all`, which holds `main`. Timers act only where nothing else has ended it, and only those that nothing has settled.
 */
import type { Model, Step } from './model.ts'

/** What each step emits, by its id. */
export type Outputs = readonly (readonly number[])[]

/** How to play. */
export interface Scenario {
  readonly roots: readonly number[]
  readonly outputs: Outputs
  /** Steps that never act. */
  readonly without?: (step: Step) => boolean
  /** When time passes: `last`, when nothing else has ended it (default), `never`, or `always`, whatever else happens. */
  readonly timers?: 'last' | 'never' | 'always'
}

/** What came of it. */
export class Play {
  readonly #model: Model
  readonly #scenario: Scenario
  /** For each occurrence, the step that emitted it; -1 for a start, undefined when it was not reached. */
  readonly cause = new Map<number, number>()
  /** For each step that acted, what it acted on. */
  readonly acted = new Map<number, readonly number[]>()
  /** What was reached before any end. */
  main: ReadonlySet<number> = new Set()
  /** True when an end came only because time had passed. */
  byTimer = false
  /** How many arcs of the graph were followed: what playing costs. */
  work = 0
  readonly #met = new Map<number, (number | undefined)[]>()
  #beyond = false
  readonly #ends: number[] = []

  constructor(model: Model, scenario: Scenario) {
    this.#model = model
    this.#scenario = scenario
    for (const step of model.steps) if (step.needs.length === 0) this.#tryStep(step)
    for (const root of scenario.roots) this.#reach(root, -1)
    if (this.#ends.length === 0 && (scenario.timers ?? 'last') === 'last') {
      while (this.#ends.length === 0 && this.#expire()) this.byTimer = true
      this.byTimer &&= this.#ends.length > 0
    }
    this.main = new Set(this.cause.keys())
    this.#mainSteps = new Set(this.acted.keys())
    this.#beyond = true
    for (const end of this.#ends) this.#follow(end)
  }

  #mainSteps: ReadonlySet<number>

  reached(id: number): boolean {
    return this.cause.has(id)
  }

  /** Whether the step acted, before or after an end. */
  did(step: Step): boolean {
    return this.acted.has(step.id)
  }

  /** Whether the step acted before any end. */
  didBefore(step: Step): boolean {
    return this.#mainSteps.has(step.id)
  }

  /** The ends that were reached: of success, of failure. */
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
    const open: [id: number, by: number][] = [[id, by]]
    for (let next = open.pop(); next; next = open.pop()) {
      const [at, cause] = next
      if (this.cause.has(at)) continue
      this.cause.set(at, cause)
      // A start may be an end as well: a choreography of one event.
      if (!this.#beyond && this.#model.isEnd(at)) {
        this.#ends.push(at)
        continue
      }
      for (const [step, outputs] of this.#acting(at)) for (const out of outputs) open.push([out, step])
    }
  }

  #follow(id: number): void {
    for (const [step, outputs] of this.#acting(id)) for (const out of outputs) this.#reach(out, step)
  }

  *#acting(id: number): Generator<[step: number, outputs: readonly number[]]> {
    for (const { step, need } of this.#model.consumers[id]!) {
      this.work++
      const met = this.#met.get(step.id) ?? step.needs.map(() => undefined)
      met[need] ??= id
      this.#met.set(step.id, met)
      if (step.timer && this.#scenario.timers !== 'always') continue
      if (this.#complete(step) && this.#act(step)) yield [step.id, this.#scenario.outputs[step.id]!]
      yield* this.#undoing(step)
    }
  }

  /** An action that comes after the event that undoes it. */
  *#undoing(done: Step): Generator<[step: number, outputs: readonly number[]]> {
    const undo = this.#model.steps[done.id + 1]?.after === done.id ? this.#model.steps[done.id + 1] : undefined
    if (undo && this.#complete(undo) && this.#act(undo)) yield [undo.id, this.#scenario.outputs[undo.id]!]
  }

  #complete(step: Step): boolean {
    const met = this.#met.get(step.id)
    if (step.after !== undefined && !this.acted.has(step.after)) return false
    if (step.needs.length === 0) return true
    if (!met) return false
    return step.mode === 'all' ? met.every((id) => id !== undefined) : met.some((id) => id !== undefined)
  }

  #act(step: Step): boolean {
    if (this.acted.has(step.id) || this.#scenario.without?.(step)) return false
    this.acted.set(
      step.id,
      (this.#met.get(step.id) ?? []).filter((id) => id !== undefined),
    )
    return true
  }

  #tryStep(step: Step): void {
    if (step.timer || !this.#complete(step) || !this.#act(step)) return
    for (const out of this.#scenario.outputs[step.id]!) this.#reach(out, step.id)
  }

  /** Lets the time of everything pass that is still open; false when there is nothing. */
  #expire(): boolean {
    let any = false
    for (const step of this.#model.steps) {
      if (!step.timer || !this.#complete(step) || this.#settled(step) || !this.#act(step)) continue
      any = true
      for (const out of this.#scenario.outputs[step.id]!) this.#reach(out, step.id)
    }
    return any
  }

  #settled({ timer, part, needs, id }: Step): boolean {
    if (part === 'late') return this.#met.get(id)!.filter((met) => met !== undefined).length === needs.length
    return [...timer!.unless].some((settling) => this.cause.has(settling))
  }
}
