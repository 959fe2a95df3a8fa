/**
 * All schedules of one conversation with up to so many faults: depth first, every schedule from its beginning, because the
 * users' handlers can not be put back into the middle of one. A state that was seen before with as many faults left is not
 * gone into again.
 */
import { choicesAt, isFault } from './choosers.ts'
import { Recording } from './constraints.ts'
import { fingerprint } from './fingerprint.ts'
import type { Lab, Trial } from './lab.ts'
import type { Choice, Chooser, FaultKind, Step } from './schedule-types.ts'
import type { SimRun } from './sim-run.ts'

interface Point {
  index: number
  readonly count: number
}

/** Follows a path of choices, and beyond it the first choice at every point, until it gets to a state that is known. */
class Path implements Chooser {
  readonly points: Point[] = []
  run: SimRun | undefined
  readonly #given: readonly number[]
  readonly #seen: Map<string, number>
  readonly #allowed: ReadonlySet<FaultKind>
  #faultsLeft: number

  constructor(
    given: readonly number[],
    seen: Map<string, number>,
    how: { readonly faults: number; readonly allowed: ReadonlySet<FaultKind> },
  ) {
    this.#given = given
    this.#seen = seen
    this.#faultsLeft = how.faults
    this.#allowed = how.allowed
  }

  step(enabled: readonly Step[]): Choice | undefined {
    const isNew = this.points.length >= this.#given.length
    if (isNew && this.#isKnown()) return undefined
    const choices = choicesAt(enabled, this.#faultsLeft, this.#allowed)
    const choice = choices[this.#next(choices.length)]!
    if (isFault(choice)) this.#faultsLeft -= 1
    return choice
  }

  outcome(_: string, options: readonly string[]): string {
    return options[this.#next(options.length)]!
  }

  #next(count: number): number {
    const index = this.#given[this.points.length] ?? 0
    this.points.push({ index, count })
    return index
  }

  #isKnown(): boolean {
    const state = fingerprint(this.run!)
    const left = this.#seen.get(state)
    if (left !== undefined && left >= this.#faultsLeft) return true
    this.#seen.set(state, this.#faultsLeft)
    return false
  }
}

/** How far an exhaustive search got. */
export interface Exhausted {
  readonly complete: boolean
  readonly states: number
  readonly found: { readonly trial: Trial; readonly recording: Recording } | undefined
}

/** @param how - `goOn` is asked before every schedule. */
export async function exhaust(
  lab: Lab,
  input: unknown,
  how: { readonly faults: number; readonly goOn: () => Promise<boolean> },
): Promise<Exhausted> {
  const seen = new Map<string, number>()
  let given: number[] | undefined = []
  while (given) {
    if (!(await how.goOn())) return { complete: false, states: seen.size, found: undefined }
    const path = new Path(given, seen, { faults: how.faults, allowed: lab.allowed })
    const recording = new Recording(path)
    const trial = await lab.trial(recording, [input], (run) => (path.run = run))
    if (trial.violation) return { complete: false, states: seen.size, found: { trial, recording } }
    given = nextPath(path.points)
  }
  return { complete: true, states: seen.size, found: undefined }
}

/** The next path in the order of depth-first search; undefined after the last. */
function nextPath(points: readonly Point[]): number[] | undefined {
  for (let at = points.length - 1; at >= 0; at--) {
    const { index, count } = points[at]!
    if (index + 1 < count) return [...points.slice(0, at).map((point) => point.index), index + 1]
  }
  return undefined
}
