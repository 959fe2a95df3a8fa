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

/** One run. */
export interface Run {
  readonly play: Play
  readonly root: readonly number[]
  readonly deviations: readonly Deviation[]
  /** The step that gave up. */
  readonly broken: Step | undefined
  /** What each step emitted. */
  readonly outputs: Outputs
}

/** How many arcs of the graph may be followed in all runs. Beyond it, only part of the runs is played. */
const workMax = 4_000_000

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
  /** How many arcs were followed. */
  work = 0
  readonly #cyclic: ReadonlySet<number>

  constructor(model: Model) {
    this.model = model
    this.consequences = new Consequences(model)
    this.alternatives = alternativesOf(model, this.consequences)
    this.cycles = cyclesOf(model)
    this.#cyclic = new Set(this.cycles.flat().map(({ id }) => id))
    this.any = new Play(model, { roots: model.starts.flat(), outputs: everything(model), timers: 'always' })
    const plain = this.#roots().flatMap((root) => this.#scenarios(root))
    this.plain = plain
    this.broken = plain.filter(({ deviations }) => deviations.length < 2).flatMap((run) => this.#accidents(run))
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

  play(root: readonly number[], outputs: Outputs, without?: (step: Step) => boolean): Play {
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

  #scenarios(root: readonly number[]): Run[] {
    const best = this.model.steps.map((step) => this.#outputs(step, this.alternatives[step.id]![0]!))
    const found: Run[] = []
    const play = (deviations: readonly Deviation[]): Run => {
      const outputs = [...best]
      for (const { step, alternative } of deviations) outputs[step.id] = alternative.emits
      const run = { play: this.play(root, outputs), root, deviations, broken: undefined, outputs }
      found.push(run)
      return run
    }
    const first = play([])
    const choices = this.#deviations()
    const singles = choices.filter(({ step }) => first.play.did(step)).map((deviation) => play([deviation]))
    const reachable = choices.filter(({ step }) => [first, ...singles].some((run) => run.play.did(step)))
    for (const [index, one] of reachable.entries()) {
      for (const two of reachable.slice(index + 1)) {
        if (this.work > workMax / 2) return found
        if (one.step !== two.step) play([one, two])
      }
    }
    return found
  }

  #accidents(run: Run): Run[] {
    const found: Run[] = []
    for (const id of run.play.acted.keys()) {
      const broken = this.model.steps[id]!
      if (broken.part !== 'run' || !run.play.didBefore(broken)) continue
      if (this.work > workMax) return found
      const play = this.play(run.root, run.outputs, (step) => step === broken)
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
