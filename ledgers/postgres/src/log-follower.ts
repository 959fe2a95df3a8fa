/**
 * Reads the log for all readers of a process. Its end is followed in memory: one look at the database brings what is new
 * to all of them, and of what this process has appended itself only the positions are compared.
 *
 * A page never ends behind the last event that it has seen: positions behind that are not passed, although they may be
 * safe. What is visible is durable, and so is all that was drawn before it; a position that was drawn by a transaction that
 * came to nothing may be given again after a crash of the server.
 */
import { EventTail, type TailLimits } from 'quadrille/ledger-kit'
import type { EventRecord, ReadPage, ReadQuery } from 'quadrille'
import type { Line } from './connections.ts'
import { eventColumns, eventOfRow } from './event-rows.ts'
import type { SchemaNames } from './schema-names.ts'
import type { Rows } from './statement-group.ts'
import { positionArray, textArray, type Field } from './wire-values.ts'

/** Events that one look brings, at most. */
const lookMax = 1_000
/** The event with which it is so much is the last one that a look, or a read of the table, brings. */
const readBytesMax = 8 * 1024 * 1024
/** Positions that one read for a few types looks at, at most, when they are not in memory. */
const windowMax = 5_000
/** Own events that are remembered until a look confirms them. */
const ownMax = 20_000

const byPosition = (a: EventRecord, b: EventRecord): number => a.position - b.position

/** What {@link LogFollower} works with. */
export interface LogFollowerOptions {
  readonly names: SchemaNames
  readonly line: Line
  readonly limits: TailLimits
  /** Called when the server is seen to have been started anew, or its log to be shorter than it was. */
  readonly restarted: () => void
}

/** The log of one process. */
export class LogFollower {
  readonly #options: LogFollowerOptions
  #tail: EventTail
  /** Committed by this process, behind the end of the tail. */
  #own = new Map<number, EventRecord>()
  /** Up to here the log can be read, as far as is known. */
  #safe = 0
  /** The last look has brought all there was. */
  #caughtUp = false
  /** Others may have appended since the last look was sent. */
  #expected = true
  /** Commits of own events that are under way. */
  #committing = 0
  #looking: Promise<void> | undefined
  #next: Promise<void> | undefined
  /** Somebody reads here; until then nothing is kept. */
  #wanted = false
  /** What is known is no longer to be relied on. */
  #stale = false
  /** What was drawn last, and since when the server runs, as of the last look. */
  #drawn = 0
  #serverSince: string | undefined

  constructor(options: LogFollowerOptions) {
    this.#options = options
    this.#tail = new EventTail(options.limits, 0)
  }

  /** A connection was lost: what is known in memory may have been lost with it, if the server has crashed. */
  doubt(): void {
    this.#stale = true
  }

  /** Learns where the log ends. */
  async begin(): Promise<void> {
    this.#stale = false
    this.#expected = true
    this.#drawn = 0
    this.#serverSince = undefined
    const head = await this.head()
    this.#own.clear()
    this.#tail = new EventTail(this.#options.limits, head)
    this.#safe = head
  }

  /** The newest position that can be read. */
  async head(): Promise<number> {
    const { line, names } = this.#options
    const [rows] = await line.run({ text: `SELECT ${names.quoted}.head_1()` })
    return Number(rows![0]![0])
  }

  /** How many events are kept in memory. */
  get size(): number {
    return this.#tail.size
  }

  /** Others may have appended something. */
  expect(): void {
    this.#expected = true
  }

  /** Runs a commit that appends. A look meanwhile would bring events that this process has. */
  async during(commit: () => Promise<void>): Promise<void> {
    this.#committing += 1
    try {
      await commit()
    } catch (error) {
      // Its positions are missing now, and what stands behind them has to be looked for.
      this.#expected = true
      throw error
    } finally {
      this.#committing -= 1
    }
  }

  /** Own events have been committed. */
  committed(events: readonly EventRecord[]): void {
    if (!this.#wanted) return
    // Nobody has read on for long: the database has them.
    if (this.#own.size > ownMax) this.#own.clear()
    for (const event of events) if (event.position > this.#tail.last) this.#own.set(event.position, event)
    this.#followOwn()
  }

  /**
   * Adds own events to the tail that stand right behind it. No position is given twice, so where all of them are ours and
   * committed, nothing of anybody else can stand between, and the database need not be asked.
   */
  #followOwn(): void {
    const next: EventRecord[] = []
    for (let position = this.#tail.last + 1; ; position++) {
      const event = this.#own.get(position)
      if (event === undefined) break
      next.push(event)
      this.#own.delete(position)
    }
    this.#tail.push(next)
  }

  /** Events up to here were trimmed. */
  trimmed(position: number): void {
    this.#tail.dropTo(position)
  }

  /** See {@link Ledger.read}. */
  async read(query: ReadQuery): Promise<ReadPage> {
    this.#wanted = true
    if (this.#stale) await this.begin()
    if (query.after < this.#tail.base) return this.#fromTable(query)
    const known = this.#tail.read(query)
    if (known.events.length === query.limit) return { ...known, end: false }
    if (query.atHand && known.events.length > 0) return { ...known, end: false }
    if (query.atHand && this.#knowsAll) return { ...known, end: true }
    await this.#look()
    if (this.#stale) return this.read(query)
    // What the look has brought may have pushed out of memory what is asked for.
    if (query.after < this.#tail.base) return this.#fromTable(query)
    const page = this.#tail.read(query)
    return { ...page, end: this.#caughtUp && page.upTo >= this.#tail.last }
  }

  /** Nobody has told of anything new, and what is missing between own events is about to come. */
  get #knowsAll(): boolean {
    return !this.#expected && (this.#own.size === 0 || this.#committing > 0)
  }

  /** Resolves after a look that begins now or later: what was committed before is then known. */
  #look(): Promise<void> {
    if (this.#looking === undefined) {
      this.#looking = this.#lookOnce().finally(() => (this.#looking = undefined))
      return this.#looking
    }
    this.#next ??= this.#looking
      .catch(() => {})
      .then(() => {
        this.#next = undefined
        return this.#look()
      })
    return this.#next
  }

  async #lookOnce(): Promise<void> {
    const { line, names } = this.#options
    const tail = this.#tail
    this.#expected = false
    const own = [...this.#own.values()].sort(byPosition).slice(0, lookMax)
    const [rows] = await line
      .run({
        text: `SELECT * FROM ${names.quoted}.log_2($1, $2, $3, $4)`,
        values: [tail.last, lookMax, readBytesMax, positionArray(own.map(({ position }) => position))],
      })
      .catch((error: unknown) => {
        this.#expected = true
        throw error
      })
    // Begun anew meanwhile.
    if (tail !== this.#tail) return
    if (this.#isSameServer(rows![0]!)) this.#merge(rows!, own)
    else this.#options.restarted()
  }

  #isSameServer([, drawn, since]: readonly Field[]): boolean {
    const isSame = Number(drawn) >= this.#drawn && (this.#serverSince ?? since) === since
    this.#drawn = Number(drawn)
    this.#serverSince = since!
    return isSame
  }

  /** Adds to the tail what the look has brought, and own events between, in order. */
  #merge(rows: Rows, own: readonly EventRecord[]): void {
    this.#safe = Math.max(this.#safe, Number(rows[0]![0]))
    const foreign = rows.slice(1).map((row) => eventOfRow(row, 1))
    const whole = foreign.length < lookMax && (foreign.length === 0 || Number(rows[foreign.length]![0]) < readBytesMax)
    // Others may stand between what was brought and what comes next, so nothing of our own is added behind it.
    const reached = whole ? this.#safe : foreign[foreign.length - 1]!.position
    // Own events may have come into the tail meanwhile.
    const { last } = this.#tail
    const events = [...foreign, ...own.filter(({ position }) => position <= reached)]
      .filter(({ position }) => position > last)
      .sort(byPosition)
    this.#tail.push(events)
    for (const position of this.#own.keys()) if (position <= this.#tail.last) this.#own.delete(position)
    this.#followOwn()
    this.#caughtUp = whole && own.length < lookMax
    if (!this.#caughtUp) this.#expected = true
  }

  async #fromTable({ after, limit, types }: ReadQuery): Promise<ReadPage> {
    const { line, names } = this.#options
    const most = this.#tail.last
    const some = types === undefined ? '' : 'AND type = ANY($4::text[])'
    const [rows] = await line.run({
      text: `WITH next AS (SELECT min(position) AS position FROM ${names.quoted}.events WHERE position > $1)
        SELECT least($2::bigint, next.position + ${windowMax - 1}), bytes,
          ${eventColumns.replace('position', 'event.position')}
        FROM next LEFT JOIN LATERAL (
          SELECT * FROM (
            SELECT *, sum(octet_length(data)) OVER (ORDER BY position) AS bytes FROM (
              SELECT * FROM ${names.quoted}.events
              WHERE position >= next.position AND position <= least($2::bigint, next.position + ${windowMax - 1}) ${some}
              ORDER BY position LIMIT $3
            ) AS found
          ) AS counted WHERE bytes - octet_length(data) < ${readBytesMax}
        ) AS event ON true ORDER BY event.position`,
      values: [after, most, limit, ...(types === undefined ? [] : [textArray(types)])],
    })
    const events = rows!.filter((row) => row[2] !== null).map((row) => eventOfRow(row, 2))
    const last = events.at(-1)
    const isCut = events.length === limit || Number(rows!.at(-1)?.[1]) >= readBytesMax
    if (last !== undefined && isCut) return { events, upTo: last.position, end: false }
    const looked = rows![0]?.[0]
    return {
      events,
      upTo: looked === null || looked === undefined ? most : Math.max(after, Number(looked)),
      end: false,
    }
  }
}
