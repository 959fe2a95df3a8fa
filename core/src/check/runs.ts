/**
 * The runs that the rules look at: from each start, what happens when every step takes its best alternative, when one or
 * two steps take another one, and when in addition one step gives up (its event has become a dead letter).
 *
 * Steps on a cycle may choose differently each time round, so they emit all they can.
 */
import { alternativesOf, Consequences, everything, type Alternative } from './alternatives.ts'
import { cyclesOf } from './cycles.ts'
import type { Model, Step } from './model.ts'
import { Play, type Outputs } from './play.ts'

/** A step that takes another alternative than its best. */
export interface Deviation {
  readonly step: Step
  readonly alternative: Alternative
}

export interface Run {
  readonly play: Play
  readonly root: readonly number[]
  readonly deviations: readonly Deviation[]
  /** The step that gave up. */
  readonly broken: Step | undefined
  /** What each step emitted. */
  readonly outputs: Outputs
}

/**
 * How many arcs of the graph may be followed in all runs. One choice at a time, and one step that gives up, is always
 * played; two choices, and a choice with a step that gives up, only as far as this goes.
 */
const workMax = 300_000

/** Everything that was played. */
export class Runs {
  readonly model: Model
  readonly consequences: Consequences
  readonly alternatives: readonly (readonly Alternative[])[]
  readonly cycles: readonly (readonly Step[])[]
  /** Everything that may happen at all. */
  readonly any: Play
  /** Where nothing gives up. */
  readonly plain: readonly Run[]
  /** Where one step gives up. */
  readonly broken: readonly Run[]
  /** Those of each that end in a failure, and not in a success as well. */
  readonly failing: readonly Run[]
  readonly failingBroken: readonly Run[]
  /** How many arcs were followed. */
  work = 0
  readonly #cyclic: ReadonlySet<number>
  readonly #best: Outputs

  constructor(model: Model) {
    this.model = model
    this.consequences = new Consequences(model)
    this.alternatives = alternativesOf(model, this.consequences)
    this.cycles = cyclesOf(model)
    this.#cyclic = new Set(this.cycles.flat().map(({ id }) => id))
    this.#best = model.steps.map((step) => this.#outputs(step, this.alternatives[step.id]![0]!))
    this.any = new Play(model, { roots: model.starts.flat(), outputs: everything(model), timers: 'always' })
    const single = this.#roots().flatMap((root) => this.#choices(root))
    const broken = single.filter(({ deviations }) => deviations.length === 0).flatMap((run) => this.#accidents(run))
    this.plain = [...single, ...this.#pairs(single)]
    const rest = single.filter(({ deviations }) => deviations.length > 0)
    this.broken = [...broken, ...rest.flatMap((run) => (this.work > workMax ? [] : this.#accidents(run)))]
    const failed = ({ play }: Run) => play.failure !== undefined && play.success === undefined
    this.failing = this.plain.filter(failed)
    this.failingBroken = this.broken.filter(failed)
  }

  /** What the step emitted in the run; undefined when it did not act, or has no choice. */
  chosen(run: Run, step: Step): Alternative | undefined {
    if (!run.play.did(step)) return undefined
    const deviation = run.deviations.find((each) => each.step === step)
    return deviation?.alternative ?? this.alternatives[step.id]![0]
  }

  isCyclic({ id }: Step): boolean {
    return this.#cyclic.has(id)
  }

  play(root: readonly number[], outputs: Outputs, without?: Step): Play {
    const play = new Play(this.model, { roots: root, outputs, without })
    this.work += play.work
    return play
  }

  /** Each start by itself; all together when one alone can not succeed, because it needs another. */
  #roots(): (readonly number[])[] {
    const { starts } = this.model
    const all = everything(this.model)
    const together = starts.flat()
    const succeeds = (root: readonly number[]) =>
      new Play(this.model, { roots: root, outputs: all }).success !== undefined
    const each = starts.flatMap((start) => start.map((id) => [id]))
    const incomplete = each.some((root) => !succeeds(root))
    return incomplete && succeeds(together) && each.length > 1 ? [...each.filter(succeeds), together] : each
  }

  /** The best run from this start, and those in which one step chooses otherwise. */
  #choices(root: readonly number[]): Run[] {
    const first = this.#run(root, [])
    const singles = this.#deviations()
      .filter(({ step }) => first.play.did(step))
      .map((deviation) => this.#run(root, [deviation]))
    return [first, ...singles]
  }

  /** Two steps that choose otherwise. */
  #pairs(single: readonly Run[]): Run[] {
    const found: Run[] = []
    for (const [root, runs] of Map.groupBy(single, (run) => run.root)) {
      const acting = this.#deviations().filter(({ step }) => runs.some(({ play }) => play.did(step)))
      for (const [index, one] of acting.entries()) {
        for (const two of acting.slice(index + 1)) {
          if (this.work > workMax) return found
          if (one.step !== two.step) found.push(this.#run(root, [one, two]))
        }
      }
    }
    return found
  }

  #run(root: readonly number[], deviations: readonly Deviation[]): Run {
    const outputs = [...this.#best]
    for (const { step, alternative } of deviations) outputs[step.id] = alternative.emits
    return { play: this.play(root, outputs), root, deviations, broken: undefined, outputs }
  }

  #accidents(run: Run): Run[] {
    const found: Run[] = []
    for (const broken of this.model.steps) {
      if (broken.part !== 'run' || !run.play.didBefore(broken)) continue
      const play = this.play(run.root, run.outputs, broken)
      found.push({ ...run, play, broken })
    }
    return found
  }

  #deviations(): Deviation[] {
    return this.model.steps.flatMap((step) =>
      this.#cyclic.has(step.id)
        ? []
        : this.alternatives[step.id]!.slice(1).map((alternative) => ({ step, alternative })),
    )
  }

  #outputs(step: Step, best: Alternative): readonly number[] {
    return this.#cyclic.has(step.id) ? step.emits.flatMap(({ occurrences }) => occurrences) : best.emits
  }
}
