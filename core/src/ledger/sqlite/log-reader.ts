/**
 * Reads the log: from memory where this process knows it, from the database otherwise.
 *
 * Three facts keep the tail in memory true. (1) Only one connection writes at a time, and positions grow with every
 * append of anyone, so what is appended later always stands behind. (2) `PRAGMA data_version` of the writing connection
 * changes exactly when another connection has committed. (3) After BEGIN IMMEDIATE nobody else can commit. So while the
 * number has not changed, the tail is the end of the log; when it has, what is behind the tail is loaded before the tail
 * is called the end, and before own events are added.
 */
import type { EventRecord } from '../../contracts/index.ts'
import type { ReadPage, ReadQuery } from '../ledger.ts'
import type { EventReader } from './event-table.ts'
import { EventTail, type TailLimits, type TailPage } from '../event-tail.ts'

/** Events of other processes that are loaded into the tail at once. */
const loadMax = 1_000
/** Events that one read for a few types looks at, at most, when they are not in memory. */
const windowMax = 5_000

/** What {@link LogReader} works with. */
export interface LogReaderOptions {
  /** The table through the connection that sees just what is committed at the moment. */
  readonly reader: () => EventReader
  readonly limits: TailLimits
  /** The newest position. */
  readonly head: number
  /** What finished works of the open group have appended, and how many groups have failed so far. */
  readonly pending: () => { readonly events: readonly EventRecord[]; readonly basis: number }
}

/** The log of one process. */
export class LogReader {
  readonly #reader: () => EventReader
  readonly #pending: LogReaderOptions['pending']
  readonly #tail: EventTail
  /** Others may have appended behind the tail. */
  #behind = false
  /** Somebody reads here; until then nothing is kept. */
  #wanted = false

  constructor({ reader, limits, head, pending }: LogReaderOptions) {
    this.#reader = reader
    this.#pending = pending
    this.#tail = new EventTail(limits, head)
  }

  /** Another process has committed. */
  othersCommitted(): void {
    this.#behind = true
  }

  /**
   * Own events have been committed, and whether others had committed was looked at after their BEGIN. What others have
   * appended before is caught up when it is little; otherwise it is left to the database.
   */
  own(events: readonly EventRecord[]): void {
    if (!this.#wanted) this.#tail.reset(events.at(-1)!.position)
    else {
      const first = events[0]!.position
      if (this.#behind && !this.#catchUp(first)) this.#tail.reset(first - 1)
      this.#tail.push(events)
    }
    this.#behind = false
  }

  /** Events up to here were trimmed. */
  trimmed(position: number): void {
    this.#tail.dropTo(position)
  }

  /** True when {@link read} will not ask the database. */
  inMemory(query: ReadQuery): boolean {
    return !this.#behind && query.after >= this.#tail.base
  }

  /** How many events are kept in memory. */
  get size(): number {
    return this.#tail.size
  }

  /** See {@link Ledger.read}. The caller has looked whether others have committed. */
  read(query: ReadQuery): ReadPage {
    this.#wanted = true
    let page = this.#fromTail(query)
    if (page !== undefined && page.events.length < query.limit && this.#behind) {
      if (this.#load(Infinity)) this.#behind = false
      // What was loaded may have pushed out of memory what is asked for.
      page = this.#fromTail(query)
    }
    const { events, upTo } = page ?? this.#fromTable(query)
    const end = !this.#behind && upTo >= this.#tail.last
    return end && query.ahead ? this.#withPending({ events, upTo, end }, query) : { events, upTo, end }
  }

  /** Adds what the open group has appended; nobody else can have appended since it began. */
  #withPending(page: ReadPage, { after, limit, types }: ReadQuery): ReadPage {
    const { events: pending, basis } = this.#pending()
    const events = [...page.events]
    let { upTo } = page
    let end = true
    for (const event of pending) {
      if (event.position <= after) continue
      end = events.length < limit
      if (!end) break
      if (types === undefined || types.includes(event.type)) events.push(event)
      upTo = event.position
    }
    return upTo === page.upTo ? page : { events, upTo, end, basis }
  }

  #fromTail(query: ReadQuery): TailPage | undefined {
    return query.after < this.#tail.base ? undefined : this.#tail.read(query)
  }

  #fromTable({ after, limit, types }: ReadQuery): TailPage {
    if (types !== undefined) {
      const page = this.#reader().pageOfTypes({ after, limit, types, window: Math.max(limit, windowMax) })
      return page.whole ? { events: page.events, upTo: Math.max(page.upTo, this.#tail.last) } : page
    }
    const events = this.#reader().page(after, limit)
    const upTo = events.at(-1)?.position ?? after
    // A page that is not full has looked at all there is, also at the gap that trimming left at its end.
    return { events, upTo: events.length < limit ? Math.max(upTo, this.#tail.last) : upTo }
  }

  /** As {@link #load}; a failure means no more than that it is left to the database: the commit has succeeded. */
  #catchUp(below: number): boolean {
    try {
      return this.#load(below)
    } catch {
      return false
    }
  }

  /** Loads what stands behind the tail and below a position; true when that was all of it. */
  #load(below: number): boolean {
    const events = this.#reader().page(this.#tail.last, loadMax)
    const whole = events.length < loadMax || events.at(-1)!.position >= below
    this.#tail.push(whole && below !== Infinity ? events.filter((event) => event.position < below) : events)
    return whole
  }
}
