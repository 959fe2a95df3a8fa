/** The declared choreography as a graph of what can happen: which occurrence of an event leads to which. */
import { matchesPattern, patternText, type AnyPattern, type Pattern } from '../contracts/index.ts'
import type { Choreography, ReactionDescription, TriggerDescription } from '../service/index.ts'

/** An event of a type, told apart as far as somebody tells it apart by a pattern. */
export interface Occurrence {
  readonly type: string
  readonly pattern: Pattern | null
  /** Identifies it: the type, with the pattern when it is narrowed. */
  readonly text: string
}

/** The two ways to end. */
export type Ending = 'success' | 'failure'

const occurrence = (type: string, pattern: Pattern | null): Occurrence => ({
  type,
  pattern,
  text: pattern === null ? type : `${type}{${patternText(pattern)}}`,
})

/** What tells which events are meant. */
type Told = Pick<TriggerDescription, 'type' | 'pattern'>

const toldBy = ({ type, pattern }: AnyPattern): Told => ({ type, pattern: pattern ?? null })

/** The reactions of a choreography and what they can lead to. */
export class ChoreographyGraph {
  readonly reactions: readonly ReactionDescription[]
  readonly #acting: ReadonlyMap<string, readonly ReactionDescription[]>
  readonly #occurrences = new Map<string, Map<string, Occurrence>>()
  readonly #ends: Readonly<Record<Ending, readonly Told[]>>
  readonly #starts: readonly Told[]

  constructor(choreography: Choreography) {
    this.reactions = choreography.services.flatMap((service) => service.describe().reactions)
    const acting = this.reactions
      .filter(({ kind }) => kind !== 'deadline')
      .flatMap((reaction) => reaction.triggers.map(({ type }) => ({ type, reaction })))
    this.#acting = new Map(
      [...Map.groupBy(acting, ({ type }) => type)].map(([type, each]) => [type, each.map(({ reaction }) => reaction)]),
    )
    const { success, failure } = choreography.ends
    this.#ends = { success: success.map(toldBy), failure: failure.map(toldBy) }
    this.#starts = choreography.starts.map(toldBy)
    const declared = [...this.#starts, ...this.#ends.success, ...this.#ends.failure]
    for (const { type, pattern } of declared) this.#know(type, pattern)
    for (const { triggers, undo, unless } of this.reactions) {
      for (const { type, pattern } of triggers) this.#know(type, pattern)
      // Undoing and settling on every event of a type does not make the rest of the type an occurrence of its own.
      for (const { type, pattern } of [...(undo?.on ?? []), ...unless]) if (pattern) this.#know(type, pattern)
    }
  }

  /** What an event of the type can be; the type itself when nobody tells its events apart. */
  occurrencesOf(type: string): readonly Occurrence[] {
    const known = this.#occurrences.get(type)
    return known ? [...known.values()] : [occurrence(type, null)]
  }

  get starts(): readonly Occurrence[] {
    return this.#starts.map(({ type, pattern }) => occurrence(type, pattern))
  }

  /** Whether the occurrence triggers what is declared with this trigger. */
  triggers(trigger: Told, happened: Occurrence): boolean {
    if (trigger.type !== happened.type) return false
    if (trigger.pattern === null) return true
    return happened.pattern !== null && matchesPattern(trigger.pattern, happened.pattern)
  }

  /** How the occurrence ends the choreography, if it does. */
  endingOf(happened: Occurrence): Ending | undefined {
    const among = (ending: Ending) => this.#ends[ending].some((end) => this.triggers(end, happened))
    if (among('success')) return 'success'
    return among('failure') ? 'failure' : undefined
  }

  /** How many reactions lie between the occurrence and such an end, through none of `avoid`; infinite for no way. */
  distance(from: Occurrence, ending: Ending, avoid: ReadonlySet<string>): number {
    const seen = new Set([from.text])
    let front: readonly Occurrence[] = [from]
    for (let steps = 0; front.length > 0; steps++) {
      if (front.some((each) => this.endingOf(each) === ending)) return steps
      const next: Occurrence[] = []
      for (const each of front.flatMap((at) => this.#leadsTo(at))) {
        if (seen.has(each.text) || avoid.has(each.text)) continue
        seen.add(each.text)
        next.push(each)
      }
      front = next
    }
    return Infinity
  }

  /** Whether the occurrence can lead to one of these again. */
  leadsBack(from: Occurrence, chain: ReadonlySet<string>): boolean {
    const seen = new Set([from.text])
    for (const queue = [from]; queue.length > 0;) {
      for (const each of this.#leadsTo(queue.pop()!)) {
        if (chain.has(each.text)) return true
        if (!seen.has(each.text)) queue.push(each)
        seen.add(each.text)
      }
    }
    return false
  }

  #leadsTo(from: Occurrence): Occurrence[] {
    // Behind an end nothing leads to another one: the choreography is over.
    if (this.endingOf(from) !== undefined) return []
    return (this.#acting.get(from.type) ?? [])
      .filter(({ triggers }) => triggers.some((trigger) => this.triggers(trigger, from)))
      .flatMap(({ emits }) => emits.flatMap((type) => this.occurrencesOf(type)))
  }

  #know(type: string, pattern: Pattern | null): void {
    const known = this.#occurrences.get(type) ?? new Map<string, Occurrence>()
    const made = occurrence(type, pattern)
    this.#occurrences.set(type, known.set(made.text, made))
  }
}
