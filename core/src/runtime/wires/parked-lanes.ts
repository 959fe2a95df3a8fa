/**
 * The keys of which an event is parked: which they are, when the next one is due, and what is to be sent of them then.
 * The truth is in the ledger; this is what a relay knows of it.
 */
import { partitionCount } from '../../contracts/index.ts'
import type { Ledger, LedgerRecord } from '../../ledger/index.ts'
import { laneOf } from '../work.ts'
import { parcelOf, parkedKind, parkedLanes, sendReaction, type Parcel } from './relay-records.ts'

const lanesMax = 100
const laneEventsMax = 50

/** What is due, with what waits behind it. */
export interface DueParcels {
  readonly parcels: readonly Parcel[]
  /** For lanes that were not loaded to their end: the event after the last one loaded. */
  readonly next: readonly LedgerRecord[]
  /** Lanes of which nothing is left when all of it is sent. */
  readonly emptied: ReadonlySet<string>
}

/** The parked keys in the partitions that a relay holds. */
export class ParkedLanes {
  readonly #ledger: Ledger
  readonly #reader: string
  #lanes = new Set<string>()
  /** Nothing is due before. */
  nextDue = 0

  constructor(ledger: Ledger, reader: string) {
    this.#ledger = ledger
    this.#reader = reader
  }

  has(key: string): boolean {
    return this.#lanes.size > 0 && this.#lanes.has(laneOf(sendReaction, key))
  }

  /** These were parked, or are to be. */
  add(puts: readonly LedgerRecord[]): void {
    for (const { lane, kind } of puts) if (kind === parkedKind) this.#lanes.add(lane!)
    if (puts.length > 0) this.nextDue = 0
  }

  /** Nothing of these waits any more. */
  remove(lanes: Iterable<string>): void {
    for (const lane of lanes) this.#lanes.delete(lane)
  }

  /** Learns which keys are parked. Returns the events that nobody would wake: what they waited for was discarded. */
  async scan(partitions: readonly number[]): Promise<readonly LedgerRecord[]> {
    const first = await parkedLanes(this.#ledger, this.#reader, partitions)
    this.#lanes = new Set(first.keys())
    return [...first.values()].filter((record) => record !== null)
  }

  /** What is due now, of at most `lanes` keys; undefined for nothing. */
  async due(nowMs: number, partitions: readonly number[], lanes = lanesMax): Promise<DueParcels | undefined> {
    const all = partitions.length === partitionCount
    const scope = { scope: this.#reader, kind: parkedKind }
    const page = { order: 'due', limit: lanes + 1, ...(all ? {} : { partitions }) } as const
    const due = await this.#ledger.query({ ...scope, ...page })
    const ready = due.filter((record) => record.due! <= nowMs).slice(0, lanes)
    this.nextDue = due.find((record) => record.due! > nowMs)?.due ?? (due.length > lanes ? nowMs : Infinity)
    if (ready.length === 0) return undefined
    const parcels: Parcel[] = []
    const next: LedgerRecord[] = []
    const emptied = new Set<string>()
    for (const lane of new Set(ready.map((record) => record.lane!))) {
      const waiting = await this.#ledger.query({ ...scope, order: 'seq', lane, limit: laneEventsMax + 1 })
      parcels.push(...waiting.slice(0, laneEventsMax).map(parcelOf))
      const beyond = waiting[laneEventsMax]
      if (beyond) next.push({ ...beyond, due: nowMs })
      else emptied.add(lane)
    }
    return { parcels, next, emptied }
  }
}
