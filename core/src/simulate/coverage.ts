/** What a search has come to see, and what not: a report of nothing found is worth as much as this. */
import type { FaultKind, Step } from './schedule-types.ts'
import type { SimRun } from './sim-run.ts'
import type { Stage } from './stage.ts'

/** How much of something was seen. */
export interface Seen {
  readonly seen: number
  readonly of: number
  /** What was not seen, sorted; at most twenty of it. */
  readonly missing: readonly string[]
}

/** See docs/verify.md. */
export interface CoverageData {
  /** Two steps of one service, of one conversation or of two, that could both come next: seen in both orders. */
  readonly races: Seen
  /** Event types that a reaction may emit, by reaction. */
  readonly emits: Seen
  /** Kinds of faults, by the step at which they can happen. */
  readonly faults: Seen
}

/** What comes once more, or too late for its sender, is a fault that is counted where it came from. */
const repeated = / (again|late)$/
const missingMax = 20
const another = ' of another'
/** Which conversation a step belongs to, and the number of a repeated one, are not what it is. */
const plainName = (name: string): string => name.replace(/^(begin )?o\d+:?/, '$1').replace(/#\d+(?=$|→| )/g, '')
const talkOf = (name: string): string => /^o\d+(?=:)/.exec(name)?.[0] ?? 'o1'

/** Collects over all schedules of a search. */
export class Coverage {
  readonly #stage: Stage
  readonly #orders = new Set<string>()
  readonly #emitted = new Set<string>()
  readonly #possible = new Set<string>()
  readonly #tried = new Set<string>()
  /** For each step that was done, those of its service that were possible in its place; null for one that is not counted. */
  readonly #met = new Map<string, Set<string> | null>()
  readonly #taken = new Set<string>()

  constructor(stage: Stage) {
    this.#stage = stage
  }

  /** A step is done, and others of its service could have been. */
  did(step: Step, enabled: readonly Step[]): void {
    const { name, kind, service } = step
    let met = this.#met.get(name)
    if (met === undefined) this.#met.set(name, (met = this.#meet(step)))
    if (met === null || (kind !== 'deliver' && kind !== 'call')) return
    for (const other of enabled) {
      if (other.service !== service || other.order === step.order || met.has(other.name)) continue
      met.add(other.name)
      if ((other.kind === 'deliver' || other.kind === 'call') && !repeated.test(other.name))
        this.#race(name, other.name)
    }
  }

  #meet({ name, kind, faults }: Step): Set<string> | null {
    if (repeated.test(name)) return null
    if (kind === 'time') this.#possible.add(`early timer at ${plainName(name)}`)
    for (const fault of faults) this.#possible.add(`${fault} at ${plainName(name)}`)
    return new Set()
  }

  take(run: SimRun): void {
    for (const { event } of run.book.told.values()) {
      if (this.#taken.has(event.id)) continue
      this.#taken.add(event.id)
      this.#emitted.add(`${event.source}/${event.reaction} ${event.type}`)
    }
    for (const { name, fault } of run.trace)
      if (fault !== undefined && !repeated.test(name)) this.#tried.add(`${fault} at ${plainName(name)}`)
  }

  /** Faults that the search may use. */
  data(allowed: ReadonlySet<FaultKind>): CoverageData {
    const pairs = new Set([...this.#orders].map((order) => order.split(' < ').sort().join(' and ')))
    const both = (pair: string): boolean => {
      const [a, b] = pair.split(' and ')
      return this.#orders.has(`${a} < ${b}`) && this.#orders.has(`${b} < ${a}`)
    }
    const declared = this.#stage.choreography.services.flatMap(({ name, reactions }) =>
      reactions.flatMap((reaction) => reaction.emits.map(({ type }) => `${name}/${reaction.name} ${type}`)),
    )
    const possible = [...this.#possible].filter((each) => allowed.has(each.slice(0, each.indexOf(' at ')) as FaultKind))
    return {
      races: seenOf([...pairs], both),
      emits: seenOf([...new Set(declared)], (each) => this.#emitted.has(each)),
      faults: seenOf(possible, (each) => this.#tried.has(each)),
    }
  }

  /** Pairs of steps seen in one order only, as it was. */
  oneOrder(): { readonly first: string; readonly second: string; readonly isOther: boolean }[] {
    return [...this.#orders].flatMap((order) => {
      const [first, second] = order.split(' < ') as [string, string]
      if (this.#orders.has(`${second} < ${first}`)) return []
      const isOther = first.endsWith(another)
      const plain = (name: string) => (isOther ? name.slice(0, -another.length) : name)
      return [{ first: plain(first), second: plain(second), isOther }]
    })
  }

  #race(first: string, second: string): void {
    const other = talkOf(first) === talkOf(second) ? '' : another
    const [a, b] = [plainName(first), plainName(second)]
    if (a !== b) this.#orders.add(`${a}${other} < ${b}${other}`)
  }
}

function seenOf(all: readonly string[], isSeen: (each: string) => boolean): Seen {
  const missing = all.filter((each) => !isSeen(each)).sort()
  return { seen: all.length - missing.length, of: all.length, missing: missing.slice(0, missingMax) }
}

/** What several parts of a search have seen: of each, the part that has seen the most. */
export function mergedCoverage(parts: readonly CoverageData[]): CoverageData {
  const best = (of: (part: CoverageData) => Seen): Seen => parts.map(of).reduce((a, b) => (b.seen > a.seen ? b : a))
  return { races: best(({ races }) => races), emits: best(({ emits }) => emits), faults: best(({ faults }) => faults) }
}

/** For people. */
export const coverageText = ({ races, emits, faults }: CoverageData): string =>
  `seen: ${races.seen} of ${races.of} races in both orders, ${emits.seen} of ${emits.of} emitted types, ` +
  `${faults.seen} of ${faults.of} faults at steps`
