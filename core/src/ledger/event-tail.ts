/** The newest events in memory, so that readers of the process that appended them need not ask the database. */
import type { EventRecord } from '../contracts/index.ts'

/** How much is kept. */
export interface TailLimits {
  readonly events: number
  readonly bytes: number
}

/** Events, and where looking for them stopped. */
export interface TailPage {
  readonly events: EventRecord[]
  readonly upTo: number
}

/** What an event costs in memory beside its payload: about 15 fields and five short strings of its own. */
const envelopeBytes = 500

const bytesOf = (event: EventRecord): number => envelopeBytes + event.data.length + (event.extensions?.length ?? 0)

/**
 * All events with a position above {@link base} and up to {@link last}, without a gap that hides one: whoever adds
 * knows that nobody has appended in between, and calls {@link reset} when that is not so.
 */
export class EventTail {
  readonly #limits: TailLimits
  /** Sorted by position; what stands before `#start` has been dropped. */
  #events: EventRecord[] = []
  #start = 0
  #bytes = 0
  #base: number
  #last: number

  constructor(limits: TailLimits, head: number) {
    this.#limits = limits
    this.#base = head
    this.#last = head
  }

  /** Events up to here are not in memory. */
  get base(): number {
    return this.#base
  }

  /** Up to here the log is known. */
  get last(): number {
    return this.#last
  }

  /** How many events are kept. */
  get size(): number {
    return this.#events.length - this.#start
  }

  /** Forgets all; the next event to be added is the first one above `base`. */
  reset(base: number): void {
    this.#events = []
    this.#start = 0
    this.#bytes = 0
    this.#base = base
    this.#last = base
  }

  /** Adds the events that follow. */
  push(events: readonly EventRecord[]): void {
    for (const event of events) {
      this.#events.push(event)
      this.#bytes += bytesOf(event)
      this.#last = event.position
    }
    while (this.size > this.#limits.events || this.#bytes > this.#limits.bytes) this.#dropFirst()
    // Moved only when half of the array is empty, so that a drop costs little on average.
    if (this.#start > 1024 && this.#start * 2 > this.#events.length) {
      this.#events = this.#events.slice(this.#start)
      this.#start = 0
    }
  }

  /** Drops events up to a position: they have been trimmed. */
  dropTo(position: number): void {
    while (this.size > 0 && this.#events[this.#start]!.position <= position) this.#dropFirst()
  }

  /**
   * Up to `limit` events behind `after`, which must not be below {@link base}. `upTo` is where it stopped looking.
   */
  read(query: {
    readonly after: number
    readonly limit: number
    readonly types?: readonly string[] | undefined
  }): TailPage {
    const { after, limit, types } = query
    const from = this.#indexAfter(after)
    if (types === undefined) {
      const events = this.#events.slice(from, from + limit)
      const upTo = events.length === limit && limit > 0 ? events[limit - 1]!.position : Math.max(after, this.#last)
      return { events, upTo }
    }
    const events: EventRecord[] = []
    for (let i = from; i < this.#events.length; i++) {
      const event = this.#events[i]!
      if (!types.includes(event.type)) continue
      events.push(event)
      if (events.length === limit) return { events, upTo: event.position }
    }
    return { events, upTo: Math.max(after, this.#last) }
  }

  #dropFirst(): void {
    const event = this.#events[this.#start]!
    this.#events[this.#start] = undefined as never
    this.#start += 1
    this.#bytes -= bytesOf(event)
    this.#base = event.position
  }

  #indexAfter(position: number): number {
    let low = this.#start
    let high = this.#events.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#events[middle]!.position <= position) low = middle + 1
      else high = middle
    }
    return low
  }
}
