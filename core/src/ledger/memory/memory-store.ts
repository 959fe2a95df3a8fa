/** What a ledger in memory keeps: the log, the records and the leases. It outlives the ledgers that are opened on it. */
import { QuadrilleError } from '../../base/index.ts'
import { partitionCount, type EventRecord } from '../../contracts/index.ts'
import type {
  FindQuery,
  Lease,
  LeaseGrant,
  LeaseRequest,
  LedgerRecord,
  ReadPage,
  ReadQuery,
  RecordKey,
  RecordQuery,
  TrimRequest,
} from '../ledger.ts'
import type { MemoryTables } from './memory-tables.ts'

interface LeaseRow {
  owner: string | null
  epoch: number
  until: number
  position: number
}

/** Records of one scope and kind, by id. */
type Shelf = Map<string, LedgerRecord>

const shelfName = (scope: string, kind: string): string => `${scope}\n${kind}`

/** The database of one or more {@link MemoryLedger}s. */
export class MemoryStore {
  readonly tables: MemoryTables | undefined
  readonly listeners = new Set<() => void>()
  /** Whoever wants to know of commits: before, where it may throw to prevent it, and after. */
  watch: { readonly committing?: () => void; readonly committed?: (events: readonly EventRecord[]) => void } = {}
  /** The end of the last transaction that has been asked for; undefined when none is open. */
  tail: Promise<void> | undefined
  /** Grows with every commit. */
  version = 0
  #events: EventRecord[] = []
  #head = 0
  readonly #known = new Set<string>()
  readonly #trimmed = new Map<string, number>()
  readonly #shelves = new Map<string, Shelf>()
  readonly #leases = new Map<string, LeaseRow[]>()
  readonly #members = new Map<string, Map<string, number>>()

  constructor(tables?: MemoryTables) {
    this.tables = tables
  }

  /** The position of the newest event ever. */
  get head(): number {
    return this.#head
  }

  get events(): readonly EventRecord[] {
    return this.#events
  }

  /** All records, in no order. */
  *records(): Iterable<LedgerRecord> {
    for (const shelf of this.#shelves.values()) yield* shelf.values()
  }

  knows(id: string): boolean {
    return this.#known.has(id) || this.#trimmed.has(id)
  }

  shelf(scope: string, kind: string): ReadonlyMap<string, LedgerRecord> | undefined {
    return this.#shelves.get(shelfName(scope, kind))
  }

  get({ scope, kind, id }: RecordKey): LedgerRecord | undefined {
    return this.shelf(scope, kind)?.get(id)
  }

  push(events: readonly EventRecord[]): void {
    for (const event of events) {
      this.#events.push(event)
      this.#known.add(event.id)
      this.#head = event.position
    }
  }

  put(record: LedgerRecord): void {
    const name = shelfName(record.scope, record.kind)
    let shelf = this.#shelves.get(name)
    if (!shelf) this.#shelves.set(name, (shelf = new Map()))
    shelf.set(record.id, record)
  }

  remove({ scope, kind, id }: RecordKey): void {
    this.#shelves.get(shelfName(scope, kind))?.delete(id)
  }

  query(query: RecordQuery): readonly LedgerRecord[] {
    return selected(this.shelf(query.scope, query.kind)?.values() ?? [], query)
  }

  read({ after, limit, types }: ReadQuery): ReadPage {
    const events: EventRecord[] = []
    for (let index = this.#indexBehind(after); index < this.#events.length; index++) {
      const event = this.#events[index]!
      if (types && !types.includes(event.type)) continue
      if (events.length === limit) return { events, upTo: events[limit - 1]!.position, end: false }
      events.push(event)
    }
    return { events, upTo: Math.max(after, this.#head), end: true }
  }

  find({ ids, correlationId, key, types, limit }: FindQuery): readonly EventRecord[] {
    const fits = (event: EventRecord) =>
      (ids === undefined || ids.includes(event.id)) &&
      (correlationId === undefined || event.correlationId === correlationId) &&
      (key === undefined || event.key === key) &&
      (types === undefined || types.includes(event.type))
    return this.#events.filter(fits).slice(0, limit)
  }

  positions(reader: string): readonly number[] {
    return (this.#leases.get(reader) ?? []).map((row) => row.position)
  }

  readers(): readonly string[] {
    return [...this.#leases.keys()].sort()
  }

  /** @throws QuadrilleError `LEASE_LOST`. */
  prove(reader: string, owner: string, epochs: ReadonlyMap<number, number>): void {
    const rows = this.#leases.get(reader)
    let lost: number[] | undefined
    for (const [partition, epoch] of epochs) {
      const row = rows?.[partition]
      if (row?.owner !== owner || row.epoch !== epoch) (lost ??= []).push(partition)
    }
    if (lost) throw new QuadrilleError('LEASE_LOST', { reader, partitions: lost })
  }

  advance(reader: string, partitions: Iterable<number>, position: number): void {
    const rows = this.#leases.get(reader)!
    for (const partition of partitions) {
      const row = rows[partition]!
      if (row.position < position) row.position = position
    }
  }

  lease(request: LeaseRequest, nowMs: number): LeaseGrant {
    const { reader, owner, leaseMs, release, keep = [], start = 0 } = request
    const leaves = release === 'all'
    const isBack = (partition: number) => (leaves ? !keep.includes(partition) : (release?.includes(partition) ?? false))
    const rows = this.#rowsOf(reader, leaves ? undefined : start)
    const untilMs = nowMs + leaseMs
    for (const [partition, row] of rows.entries()) {
      if (row.owner !== owner) continue
      if (isBack(partition)) Object.assign(row, { owner: null, until: 0 })
      else row.until = untilMs
    }
    const members = this.#membersOf(reader, nowMs)
    if (leaves) members.delete(owner)
    else members.set(owner, untilMs)
    const fairShare = Math.ceil(partitionCount / Math.max(1, members.size))
    let held = rows.filter((row) => row.owner === owner).length
    const abandoned = new Set<number>()
    for (const [partition, row] of rows.entries()) {
      const isFree = row.owner === null || row.until <= nowMs
      if (leaves || row.owner === owner || !isFree || held >= fairShare || isBack(partition)) continue
      if (row.owner !== null) abandoned.add(partition)
      Object.assign(row, { owner, until: untilMs, epoch: row.epoch + 1 })
      held += 1
    }
    const leases = rows.flatMap(({ owner: holder, epoch, position }, partition): Lease[] => {
      if (holder !== owner) return []
      return [{ partition, epoch, position, ...(abandoned.has(partition) && { abandoned: true }) }]
    })
    return { leases, fairShare }
  }

  /** Lets all leases end now, as if their owners had been silent for too long. */
  endLeases(): void {
    for (const rows of this.#leases.values()) for (const row of rows) row.until = 0
    this.#members.clear()
  }

  trim({ upTo, eventsBefore, idsBefore, recordsBefore, limit }: TrimRequest, nowMs: number): number {
    const old = this.#events.filter((event) => event.position <= upTo && event.time < eventsBefore).slice(0, limit)
    const gone = new Set(old)
    if (gone.size > 0) this.#events = this.#events.filter((event) => !gone.has(event))
    for (const { id } of old) {
      this.#known.delete(id)
      this.#trimmed.set(id, nowMs)
    }
    const ids = [...this.#trimmed].filter(([, time]) => time < idsBefore).slice(0, limit)
    for (const [id] of ids) this.#trimmed.delete(id)
    const expired = [...this.records()].filter(({ expires }) => expires !== null && expires < recordsBefore)
    for (const record of expired.slice(0, limit)) this.remove(record)
    return old.length + ids.length + Math.min(limit, expired.length)
  }

  #rowsOf(reader: string, start: number | undefined): LeaseRow[] {
    const known = this.#leases.get(reader)
    if (known || start === undefined) return known ?? []
    const fresh = () => ({ owner: null, epoch: 0, until: 0, position: start })
    const rows: LeaseRow[] = Array.from({ length: partitionCount }, fresh)
    this.#leases.set(reader, rows)
    return rows
  }

  #membersOf(reader: string, nowMs: number): Map<string, number> {
    let members = this.#members.get(reader)
    if (!members) this.#members.set(reader, (members = new Map()))
    for (const [member, until] of members) if (until <= nowMs) members.delete(member)
    return members
  }

  /** The index of the first event behind a position. */
  #indexBehind(position: number): number {
    let low = 0
    let high = this.#events.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#events[middle]!.position <= position) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** The records that a query asks for, sorted; all are of its scope and kind. */
export function selected(records: Iterable<LedgerRecord>, query: RecordQuery): readonly LedgerRecord[] {
  const { order = 'id', lane, dueBefore, partitions, afterId, limit } = query
  const found: LedgerRecord[] = []
  for (const record of records) {
    if (lane !== undefined && record.lane !== lane) continue
    if ((order === 'due' || dueBefore !== undefined) && record.due === null) continue
    if (dueBefore !== undefined && record.due! > dueBefore) continue
    if (partitions !== undefined && !partitions.includes(record.partition)) continue
    if (afterId !== undefined && record.id <= afterId) continue
    found.push(record)
  }
  if (found.length > 1) found.sort((a, b) => (order === 'id' ? 0 : a[order]! - b[order]!) || (a.id < b.id ? -1 : 1))
  return found.length > limit ? found.slice(0, limit) : found
}
