/** The ledger of the cases: takes what is delivered, and can be slow, or refuse. And the events that are sent. */
import { isQuadrilleError, QuadrilleError, sleep } from '../../base/index.ts'
import { holds, soon } from '../../base/expectation.ts'
import { fromBinaryEvent, fromCloudEvent, type EventRecord, type NewEvent } from '../../contracts/index.ts'
import type { Deliver, IncomingMessage, OutgoingMessage, Wire } from '../wire.ts'
import type { WireWorld } from './wire-world.ts'

/** A message whose delivery has resolved. */
export interface Taken {
  readonly message: IncomingMessage
  /** The event in it; null when it is none. */
  readonly event: NewEvent | null
}

/** What one or several receivers have delivered. */
export class Inbox {
  readonly #world: WireWorld
  /** Everything that was taken, duplicates included, in the order of the commits. */
  readonly taken: Taken[] = []
  /** How many messages each delivery had, also of those that were refused. */
  readonly sizes: number[] = []
  /** Messages handed to deliveries that have not ended. */
  inHand = 0
  readonly #known = new Set<string>()
  #refuse = 0
  #closed: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined

  constructor(world: WireWorld) {
    this.#world = world
    world.afterwards.push(() => this.open())
  }

  /** To be handed to `receive`. */
  readonly deliver: Deliver = async (messages) => {
    this.sizes.push(messages.length)
    this.inHand += messages.length
    try {
      while (this.#closed) await this.#closed.promise
      if (this.#refuse > 0) {
        this.#refuse -= 1
        throw new QuadrilleError('LEDGER_CONFLICT', { ledger: 'inbox', message: 'refused by a conformance case' })
      }
      for (const message of messages) {
        const event = eventOf(message)
        this.taken.push({ message, event })
        if (event) this.#known.add(event.id)
      }
    } finally {
      this.inHand -= messages.length
    }
  }

  /** Refuses the next deliveries. */
  refuseNext(count: number): void {
    this.#refuse = count
  }

  /** Deliveries do not end until it is opened again. */
  close(): void {
    this.#closed ??= Promise.withResolvers<void>()
  }

  open(): void {
    this.#closed?.resolve()
    this.#closed = undefined
  }

  /** The ids in the order in which they were taken for the first time. */
  get ids(): string[] {
    return [...this.#known]
  }

  /** The ids of one key, each where it was taken first. */
  idsOf(key: string): string[] {
    return [...new Set(this.taken.flatMap(({ event }) => (event?.key === key ? [event.id] : [])))]
  }

  event(id: string): NewEvent | undefined {
    return this.taken.find(({ event }) => event?.id === id)?.event ?? undefined
  }

  /** Waits until all these have been taken, for as long as there is progress: a busy machine is no broken promise. */
  async has(ids: readonly string[], promise: string): Promise<void> {
    const { env, patienceMs } = this.#world
    const missing = () => ids.filter((id) => !this.#known.has(id))
    let left = missing()
    for (let sinceMs = env.elapsed(); left.length > 0 && env.elapsed() - sinceMs < patienceMs;) {
      await sleep(env, 5)
      const still = missing()
      if (still.length < left.length) sinceMs = env.elapsed()
      left = still
    }
    if (left.length === 0) return
    const got = `${left.length} of ${ids.length} missing, such as ${left.slice(0, 5).join(', ')}`
    throw new QuadrilleError('CONFORMANCE_FAILED', { promise, expected: `all ${ids.length} events`, got })
  }

  /** Waits until a delivery is under way. */
  async busy(): Promise<void> {
    await soon(this.#world, () => this.inHand > 0, 'something is delivered')
  }

  /** Waits a moment, and fails when more was taken than `before`. */
  async staysSilent(promise: string, before = this.taken.length): Promise<void> {
    await sleep(this.#world.env, this.#world.silenceMs)
    holds(this.taken.length === before, promise)
  }
}

/** The event in a message, in binary or structured mode; null when it can not be read. */
export function eventOf({ attributes, body }: IncomingMessage): NewEvent | null {
  try {
    return attributes === null ? fromCloudEvent(body) : fromBinaryEvent(attributes, body)
  } catch (error) {
    if (isQuadrilleError(error, 'EVENT_UNDECODABLE')) return null
    throw error
  }
}

let positions = 0

/** An event of a type, with an id of its own; the rest as given, or plain. */
export function wireEvent(world: WireWorld, fields: Partial<NewEvent> = {}): EventRecord {
  const id = fields.id ?? world.env.uuid()
  positions += 1
  return {
    id,
    type: world.a,
    version: 1,
    source: 'conformance',
    key: 'key-1',
    correlationId: id,
    causationId: null,
    reaction: null,
    hops: 0,
    time: world.env.now(),
    traceparent: null,
    tracestate: null,
    data: JSON.stringify({ id }),
    extensions: null,
    position: positions,
    ...fields,
  }
}

/** So many events, over so many keys in turn. */
export function wireEvents(world: WireWorld, count: number, keys = 1): EventRecord[] {
  return Array.from({ length: count }, (_, index) =>
    wireEvent(world, { key: `key-${index % keys}`, data: JSON.stringify({ n: index }) }),
  )
}

export const outgoing = (event: EventRecord, redrive = 0): OutgoingMessage => ({
  event,
  dedupeId: redrive === 0 ? event.id : `${event.id}#${redrive}`,
})

export const idsOf = (events: readonly EventRecord[]): string[] => events.map(({ id }) => id)

/** Sends, and fails unless all are taken by the broker. */
export async function sendAll(wire: Wire, events: readonly EventRecord[], batch = 100): Promise<void> {
  for (let at = 0; at < events.length; at += batch) {
    const some = events.slice(at, at + batch)
    const results = await wire.send(some.map((event) => outgoing(event)))
    const wrong = results.find((result) => result !== null)
    const ok = results.length === some.length && wrong === undefined
    if (!ok) {
      const got = wrong ? wrong.message : `${results.length} answers`
      const expected = `null for each of ${some.length}`
      throw new QuadrilleError('CONFORMANCE_FAILED', { promise: 'send takes the events', expected, got })
    }
  }
}

/** Sends as a relay does: what fails for a while is sent again, in order, until the broker has it. */
export async function sendUntilTaken(world: WireWorld, wire: Wire, events: readonly EventRecord[]): Promise<void> {
  const { env, patienceMs } = world
  const began = env.elapsed()
  let left = events
  let last = 'nothing'
  while (left.length > 0) {
    try {
      const results = await wire.send(left.map((event) => outgoing(event)))
      last = String(results.find((result) => result !== null))
      left = left.filter((_, index) => results[index] !== null)
    } catch (error) {
      if (!isQuadrilleError(error) || !error.retryable) throw error
      last = error.message
    }
    if (left.length === 0) return
    if (env.elapsed() - began > patienceMs)
      throw new QuadrilleError('CONFORMANCE_FAILED', {
        promise: 'what fails to be sent for a while is taken when it is sent again',
        expected: `${events.length} events`,
        got: `${left.length} left, ${last}`,
      })
    await sleep(env, 50)
  }
}
