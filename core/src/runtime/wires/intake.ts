/** From what arrives to what is appended: events, or dead letters with the exact bytes and the reason. */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { isQuadrilleError, QuadrilleError } from '../../base/index.ts'
import {
  fromBinaryEvent,
  fromCloudEvent,
  fromCloudEventJson,
  isEmitted,
  type Emitted,
  type NewEvent,
} from '../../contracts/index.ts'
import type { LedgerRecord } from '../../ledger/index.ts'
import { triggersOf } from '../../service/index.ts'
import type { IncomingMessage } from '../../wire/index.ts'
import { checkSize } from '../emit.ts'
import { deadRecord, receivedDead, type DeadBody } from '../failure-step.ts'
import type { Settings } from '../settings.ts'
import type { ForeignMapping, ForeignMessage, WireSettings } from './wire-options.ts'

/** Where dead letters go that no service could be found for. */
export const receiveScope = '~receive'

/** The extension that marks an event that came from elsewhere: over which wire. It is taken off when the event is sent. */
const viaName = 'receivedvia'

/** Over which wire: as a value, and as the extensions of an event that has no others. */
interface Mark {
  readonly via: string
  readonly alone: string
}

/** How an event is taken. */
interface Taking {
  readonly mark: Mark | null
  readonly others: ReadonlySet<string>
}

const none: ReadonlySet<string> = new Set()

/** What a batch of messages turned out to be. */
export interface Sorted {
  readonly good: readonly NewEvent[]
  readonly dead: readonly LedgerRecord[]
  /** Set when an event has a type that nothing here reacts to. */
  readonly hasStranger: boolean
}

/** Reads messages for an app. */
export class Intake {
  readonly #settings: Settings
  readonly #types: ReadonlySet<string>

  constructor(settings: Settings) {
    this.#settings = settings
    const triggers = settings.services.flatMap((service) => service.reactions.flatMap(triggersOf))
    this.#types = new Set(triggers.map(({ trigger }) => trigger.type))
  }

  /**
   * Reads messages; `via` names the wire, and is null for `app.receive()`. Never throws.
   *
   * @param others - Types that are taken although nothing here reacts to them.
   */
  sort(messages: readonly IncomingMessage[], via: string | null, others = none): Sorted {
    const { env } = this.#settings
    const good: NewEvent[] = []
    const dead: LedgerRecord[] = []
    let hasStranger = false
    const mark = this.#markOf(via)
    for (const message of messages) {
      try {
        const mapping = this.#mappingOf(message, via)
        if (mapping) good.push(...this.#mapped(mapping, message, { mark, others }))
        else good.push(this.#checked(eventOf(message, env.now()), { mark, others }))
      } catch (error) {
        hasStranger ||= isQuadrilleError(error, 'EVENT_TYPE_UNKNOWN')
        dead.push(this.refused(message, via, error))
      }
    }
    return { good, dead, hasStranger }
  }

  /** The dead letter of a message that is not taken. */
  refused({ attributes, channel, body }: IncomingMessage, via: string | null, error: unknown): LedgerRecord {
    const { env } = this.#settings
    const from = via === null ? {} : { from: { wire: via, attributes, channel } }
    return deadRecord(receiveScope, env.uuid(), { ...receivedDead(body, error, env.now()), ...from })
  }

  /** Tells which messages of a wire are mapped; null when none is. */
  mappedOf(via: string | null): ((message: IncomingMessage) => boolean) | null {
    const foreign = this.#settings.wires.find(({ name }) => name === via)?.foreign
    return !foreign?.size ? null : (message) => this.#mappingOf(message, via) !== undefined
  }

  /** The events of a message that could not be read when it came, if it can be read now. */
  again({ bytes, from }: DeadBody): readonly NewEvent[] | undefined {
    if (bytes === undefined) return undefined
    const body = Buffer.from(bytes, 'base64')
    const message = { attributes: from?.attributes ?? null, channel: from?.channel, body }
    const { good, dead } = this.sort([message], from?.wire ?? null)
    return dead.length === 0 ? good : undefined
  }

  #mappingOf({ channel }: IncomingMessage, via: string | null): ForeignMapping | undefined {
    if (via === null || channel === undefined) return undefined
    return this.#settings.wires.find(({ name }) => name === via)?.foreign.get(channel)
  }

  /** @throws QuadrilleError `EVENT_TYPE_UNKNOWN` or `EVENT_TOO_LARGE`, and what a mapping throws. */
  #mapped({ map }: ForeignMapping, message: IncomingMessage, how: Taking): readonly NewEvent[] {
    const made = listOf(map(foreignMessage(message)))
    return made.map((one, index) => this.#checked(this.#foreign(one, message, index), how))
  }

  /** @throws QuadrilleError `EVENT_TYPE_UNKNOWN` or `EVENT_TOO_LARGE`. */
  #checked(event: NewEvent, { mark, others }: Taking): NewEvent {
    if (!this.#types.has(event.type) && !others.has(event.type))
      throw new QuadrilleError('EVENT_TYPE_UNKNOWN', { type: event.type })
    checkSize(event.type, event.data, this.#settings.eventBytesMax)
    return mark === null ? event : marked(event, mark)
  }

  /** Null without wires: then nothing is sent on, so nothing needs the mark. */
  #markOf(via: string | null): Mark | null {
    if (this.#settings.wires.length === 0) return null
    const from = via ?? 'receive()'
    return { via: from, alone: JSON.stringify({ [viaName]: from }) }
  }

  #foreign(made: Emitted, { channel, body }: IncomingMessage, index: number): NewEvent {
    if (!isEmitted(made))
      throw new QuadrilleError('EVENT_FOREIGN_VALUE', { reaction: `the mapping of ${channel}`, value: typeof made })
    const digest = createHash('sha256').update(`${channel}\n${index}\n`).update(body).digest('hex')
    const id = made.id ?? digest
    return {
      id,
      type: made.type,
      version: made.version,
      source: `${channel}`,
      key: made.key,
      correlationId: id,
      causationId: null,
      reaction: null,
      hops: 0,
      time: this.#settings.env.now(),
      traceparent: null,
      tracestate: null,
      data: JSON.stringify(made.payload),
      extensions: null,
    }
  }
}

/** @throws QuadrilleError `EVENT_UNDECODABLE`. */
function eventOf(message: IncomingMessage, receivedMs: number): NewEvent {
  const { attributes, parsed } = message
  if (attributes !== null) return fromBinaryEvent(attributes, message.body, receivedMs)
  // The body last: a wire that has parsed it may have to write it first.
  return parsed ? fromCloudEventJson(parsed, receivedMs) : fromCloudEvent(message.body, receivedMs)
}

const listOf = (made: Emitted | readonly Emitted[] | null | undefined): readonly Emitted[] =>
  made === null || made === undefined ? [] : Array.isArray(made) ? (made as readonly Emitted[]) : [made as Emitted]

const utf8 = new TextDecoder('utf-8', { fatal: true })

function foreignMessage({ channel, attributes, body }: IncomingMessage): ForeignMessage {
  const text = () => utf8.decode(body)
  return { channel: channel!, attributes, body, text, json: () => JSON.parse(text()) as unknown }
}

function marked(event: NewEvent, { via, alone }: Mark): NewEvent {
  if (event.extensions === null) return { ...event, extensions: alone }
  const others = JSON.parse(event.extensions) as Record<string, unknown>
  return { ...event, extensions: JSON.stringify({ ...others, [viaName]: via }) }
}

/** Over which wire an event came; null when it was made here. */
export function receivedVia(event: NewEvent): string | null {
  if (event.extensions === null || !event.extensions.includes(viaName)) return null
  const via = (JSON.parse(event.extensions) as Record<string, unknown>)[viaName]
  return typeof via === 'string' ? via : null
}

/** True for what a wire sends: made here, or to be forwarded, and not come over this very wire. */
export function isFor({ name, sends, forwards }: WireSettings, event: NewEvent): boolean {
  if (!sends(event.type)) return false
  const via = receivedVia(event)
  return via === null || (forwards && via !== name)
}

/** The event without the mark. */
export function unmarked<Event extends NewEvent>(event: Event): Event {
  if (receivedVia(event) === null) return event
  const { [viaName]: _, ...others } = JSON.parse(event.extensions!) as Record<string, unknown>
  return { ...event, extensions: Object.keys(others).length === 0 ? null : JSON.stringify(others) }
}
