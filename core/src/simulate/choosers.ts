/** The ways to decide what happens next. */
import type { Randomness } from '../base/randomness.ts'
import type { Choice, Chooser, FaultKind, Step } from './schedule-types.ts'

/** Without faults, oldest first, every answer the normal one; time passes when nothing else can happen. */
export const defaultChooser: Chooser = {
  step: ([first]) => ({ step: first!, fault: undefined }),
  outcome: (_, [normal]) => normal!,
}

/** The default schedule, but each conversation begins when there is nothing left to do for those before it. */
export const oneByOne: Chooser = {
  step: (enabled) => {
    const [first] = enabled
    const next = first!.kind === 'begin' ? enabled.find(({ kind, early }) => kind !== 'begin' && !early) : undefined
    return { step: next ?? first!, fault: undefined }
  },
  outcome: (_, [normal]) => normal!,
}

/** All choices at a point of a schedule: first those without a fault. */
export function choicesAt(enabled: readonly Step[], faultsLeft: number, allowed: ReadonlySet<FaultKind>): Choice[] {
  const choices: Choice[] = []
  for (const step of enabled) if (!step.early) choices.push({ step, fault: undefined })
  if (faultsLeft === 0) return choices
  for (const step of enabled) {
    if (step.early) {
      if (allowed.has('early timer')) choices.push({ step, fault: undefined })
      continue
    }
    for (const fault of step.faults) if (allowed.has(fault)) choices.push({ step, fault })
  }
  return choices
}

/** True for a choice that counts as a fault. */
export const isFault = ({ step, fault }: Choice): boolean => fault !== undefined || step.early

/** The default schedule, but at one point something else: to try every single thing at every step. */
export class OneOff implements Chooser {
  readonly #at: number
  readonly #other: number
  readonly #allowed: ReadonlySet<FaultKind>
  /** How many choices there were at each point. */
  readonly counts: number[] = []

  /** @param point - `at`: the number of the point; `other`: which of its choices. */
  constructor(point: { readonly at: number; readonly other: number }, allowed: ReadonlySet<FaultKind>) {
    this.#at = point.at
    this.#other = point.other
    this.#allowed = allowed
  }

  step(enabled: readonly Step[]): Choice {
    const here = this.counts.length === this.#at
    const choices = choicesAt(enabled, 1, this.#allowed)
    this.counts.push(choices.length)
    return choices[here ? Math.min(this.#other, choices.length - 1) : 0]!
  }

  outcome(_: string, options: readonly string[]): string {
    const here = this.counts.length === this.#at
    this.counts.push(options.length)
    return options[here ? Math.min(this.#other, options.length - 1) : 0]!
  }
}

/**
 * The default schedule with one fault of a kind, at the first place where it can happen, or the second, and so on. A wire that
 * is down stays so until time has passed once.
 */
export class OneFault implements Chooser {
  readonly #kind: FaultKind
  readonly #number: number
  #hasPassed = false
  /** In how many places it could have happened. */
  places = 0

  constructor(kind: FaultKind, number: number) {
    this.#kind = kind
    this.#number = number
  }

  step(enabled: readonly Step[]): Choice {
    const [first] = enabled
    const later = first!.kind === 'heal' && !this.#hasPassed ? enabled.find(({ kind }) => kind === 'time') : undefined
    if (later) {
      this.#hasPassed = true
      return { step: later, fault: undefined }
    }
    const here = first!.faults.includes(this.#kind) && this.places++ === this.#number
    return { step: first!, fault: here ? this.#kind : undefined }
  }

  outcome(_: string, [normal]: readonly string[]): string {
    return normal!
  }
}

/** The default schedule, but the outside always gives this answer, where it has so many. */
export const alwaysAnswering = (index: number): Chooser => ({
  step: (enabled) => defaultChooser.step(enabled),
  outcome: (_, options) => options[index] ?? options[0]!,
})

/** What random schedules have in common: how many faults, of which kinds, and how likely. */
abstract class RandomChooser implements Chooser {
  protected readonly random: Randomness
  #faultsLeft: number
  readonly #kinds: ReadonlySet<FaultKind>
  readonly #share: number
  readonly #negative: number

  constructor(random: Randomness, allowed: ReadonlySet<FaultKind>, faultsMax: number) {
    this.random = random
    this.#faultsLeft = random.below(faultsMax + 1)
    // Each kind is on in some schedules and off in others: together they hide each other.
    this.#kinds = new Set([...allowed].filter(() => random.next() < 0.6))
    this.#share = 0.05 + random.next() * 0.3
    this.#negative = random.pick([0, 0.2, 0.5, 1])
  }

  step(enabled: readonly Step[]): Choice {
    const last = enabled[enabled.length - 1]!
    const early = last.early ? last : undefined
    const now = early ? enabled.slice(0, -1) : enabled
    if (this.#faultsLeft > 0 && early && this.#kinds.has('early timer') && this.random.next() < this.#share / 2) {
      this.#faultsLeft -= 1
      return { step: early, fault: undefined }
    }
    const step = this.pick(now)
    const faults = this.#faultsLeft > 0 ? step.faults.filter((fault) => this.#kinds.has(fault)) : []
    if (faults.length === 0 || this.random.next() >= this.#share) return { step, fault: undefined }
    this.#faultsLeft -= 1
    return { step, fault: this.random.pick(faults) }
  }

  outcome(_: string, options: readonly string[]): string {
    if (options.length < 2 || this.random.next() >= this.#negative) return options[0]!
    return options[1 + this.random.below(options.length - 1)]!
  }

  protected abstract pick(steps: readonly Step[]): Step
}

/** Any step, each as likely as the others. */
export class RandomWalk extends RandomChooser {
  protected pick(steps: readonly Step[]): Step {
    return this.random.pick(steps)
  }
}

/** A step of a schedule is one of about so many: where PCT may change a priority. */
const lengthGuess = 24

/**
 * Probabilistic concurrency testing over chains of causes (PCTCP): each chain has a priority, the highest runs, and at
 * `depth` - 1 points the one that runs falls to the bottom.
 */
export class Pct extends RandomChooser {
  readonly #priorities = new Map<number, number>()
  readonly #changes: ReadonlySet<number>
  #steps = 0
  #bottom = 0

  constructor(
    random: Randomness,
    allowed: ReadonlySet<FaultKind>,
    how: { readonly faultsMax: number; readonly depth: number },
  ) {
    super(random, allowed, how.faultsMax)
    this.#changes = new Set(Array.from({ length: how.depth - 1 }, () => random.below(lengthGuess)))
  }

  protected pick(steps: readonly Step[]): Step {
    const best = highest(steps, (step) => this.#priorityOf(step))
    if (this.#changes.has(this.#steps++)) this.#priorities.set(best.chain, --this.#bottom)
    return best
  }

  #priorityOf({ chain }: Step): number {
    let priority = this.#priorities.get(chain)
    if (priority === undefined) this.#priorities.set(chain, (priority = 1 + this.random.next()))
    return priority
  }
}

/** Partial order sampling: every step has a priority, the highest runs, and those that race with it get new ones. */
export class Pos extends RandomChooser {
  readonly #priorities = new Map<number, number>()

  protected pick(steps: readonly Step[]): Step {
    const best = highest(steps, (step) => this.#priorityOf(step))
    for (const step of steps) if (step.service === best.service) this.#priorities.delete(step.order)
    return best
  }

  #priorityOf({ order }: Step): number {
    let priority = this.#priorities.get(order)
    if (priority === undefined) this.#priorities.set(order, (priority = this.random.next()))
    return priority
  }
}

function highest(steps: readonly Step[], priorityOf: (step: Step) => number): Step {
  let best = steps[0]!
  let top = -Infinity
  for (const step of steps) {
    const priority = priorityOf(step)
    if (priority <= top) continue
    top = priority
    best = step
  }
  return best
}
