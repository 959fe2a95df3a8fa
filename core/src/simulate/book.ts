/** What a schedule knows of its conversations: names for everything, how they ended, and what they did to the outside. */
import { decodeData, matches, type AnyPattern, type NewEvent } from '../contracts/index.ts'
import type { Choreography } from '../service/index.ts'
import type { Effect } from './outside.ts'
import type { Invocation } from './sim-env.ts'

/** An event that was emitted. */
export interface Told {
  readonly event: NewEvent
  readonly name: string
  readonly conversation: Talk
}

/** An effect with who made it. */
export interface Made {
  readonly effect: Effect
  readonly by: Invocation
}

/** One conversation. */
export class Talk {
  readonly label: string
  readonly input: unknown
  /** The event that started it; undefined as long as none has. */
  start: NewEvent | undefined
  /** Set when whatever places the first event has committed something. */
  begun = false
  readonly ends: { readonly status: 'success' | 'failure'; readonly told: Told }[] = []
  readonly told: Told[] = []
  readonly effects: Made[] = []
  /** How many of them have been judged. */
  judgedEffects = 0
  #inputText: string | undefined

  constructor(label: string, input: unknown) {
    this.label = label
    this.input = input
  }

  get inputText(): string {
    return (this.#inputText ??= JSON.stringify(this.input) ?? '')
  }

  /** The net of an effect: how often it was done and not undone. */
  net(effect: string): number {
    return this.effects.reduce((sum, made) => sum + (made.effect.name === effect ? made.effect.change : 0), 0)
  }

  get outcome(): 'success' | 'failure' | 'none' {
    return this.ends[0]?.status ?? 'none'
  }
}

/** The ends of a choreography by event type. */
export type Ends = ReadonlyMap<
  string,
  readonly { readonly status: 'success' | 'failure'; readonly pattern: AnyPattern }[]
>

/** The ends of a choreography by event type. */
export function endsOf({ ends }: Choreography): Ends {
  const all = [
    ...ends.success.map((pattern) => ({ status: 'success' as const, pattern })),
    ...ends.failure.map((pattern) => ({ status: 'failure' as const, pattern })),
  ]
  return Map.groupBy(all, ({ pattern }) => pattern.type)
}

/** See the top of this file. One for each schedule. */
export class Book {
  readonly talks: Talk[] = []
  readonly told = new Map<string, Told>()
  readonly #ends: Ends
  readonly #emitters: ReadonlyMap<string, number>
  readonly #byCorrelation = new Map<string, Talk>()
  readonly #counts = new Map<string, number>()

  /** @param about - `emitters`: how many reactions emit a type; where it is one, the type alone names the event. */
  constructor(about: {
    readonly ends: Ends
    readonly emitters: ReadonlyMap<string, number>
    readonly inputs: readonly unknown[]
  }) {
    this.#ends = about.ends
    this.#emitters = about.emitters
    about.inputs.forEach((input, index) => this.talks.push(new Talk(`o${index + 1}`, input)))
  }

  /** The conversation with this id; the first event of a conversation belongs to the one that is being begun. */
  talkOf(correlationId: string, beginning?: Talk): Talk | undefined {
    const known = this.#byCorrelation.get(correlationId)
    if (known || !beginning) return known
    this.#byCorrelation.set(correlationId, beginning)
    return beginning
  }

  /** Takes note of an event that was emitted; returns undefined for one that is known. */
  tell(event: NewEvent, beginning?: Talk): Told | undefined {
    if (this.told.has(event.id)) return undefined
    const conversation = this.talkOf(event.correlationId, beginning) ?? this.talks[0]!
    conversation.start ??= event
    const by =
      (this.#emitters.get(event.type) ?? 0) > 1 && event.reaction !== null
        ? ` by ${event.source}/${event.reaction}`
        : ''
    const told = { event, name: this.numbered(`${this.prefix(conversation)}${event.type}${by}`), conversation }
    this.told.set(event.id, told)
    conversation.told.push(told)
    const status = this.#endOf(event)
    if (status) conversation.ends.push({ status, told })
    return told
  }

  /** The name, with a number when it was there before. */
  numbered(name: string): string {
    const count = (this.#counts.get(name) ?? 0) + 1
    this.#counts.set(name, count)
    return count === 1 ? name : `${name}#${count}`
  }

  /** Before names of other conversations than the first. */
  prefix(talk: Talk | undefined): string {
    return !talk || talk === this.talks[0] ? '' : `${talk.label}:`
  }

  #endOf(event: NewEvent): 'success' | 'failure' | undefined {
    const candidates = this.#ends.get(event.type)
    if (!candidates) return undefined
    return candidates.find(({ pattern }) => pattern.pattern === undefined || matches(pattern, dataOf(pattern, event)))
      ?.status
  }
}

function dataOf(pattern: AnyPattern, event: NewEvent): unknown {
  try {
    return decodeData(pattern.contract, event)
  } catch {
    return undefined
  }
}
