/**
 * What becomes of an event on its way out, as records of the relay.
 *
 *     in the log --taken by the broker--> sent (the checkpoint passes it)
 *                --broker refuses, retryable--> parked: due after a backoff; later events of its key wait behind it
 *                --refused for ever, or no attempts left--> dead letter; its key goes on
 *     parked --due--> sent, parked again, or a dead letter
 *     dead letter --redrive--> parked, due at once, with a new dedupe id
 *     whole broker out of reach: nothing changes, everything is sent again after a pause
 */
import type { QuadrilleError } from '../../base/index.ts'
import { partitionOf, type EventRecord } from '../../contracts/index.ts'
import type { Ledger, LedgerRecord, RecordKey } from '../../ledger/index.ts'
import { backoffMs, type FullRetry } from '../../service/index.ts'
import type { OutgoingMessage } from '../../wire/index.ts'
import { deadRecord } from '../failure-step.ts'
import { waitingKinds } from '../record-kinds.ts'
import { failedTry, laneOf, type FailedTry } from '../work.ts'
import { unmarked } from './intake.ts'
import type { ParkedReport } from './wire-report.ts'

/** The name that a relay has where reactions have theirs, in dead letters and records. */
export const sendReaction = 'send'
export const parkedKind = waitingKinds(sendReaction).work

const triesMax = 20

/** An event on its way out. */
export interface Parcel {
  readonly event: EventRecord
  readonly redrives: number
  readonly failed: number
  readonly tries: readonly FailedTry[]
  /** True when it comes from a record, not from the log. */
  readonly parked: boolean
}

/** The body of a record of a parked event. It has the form of other work, so that redrive and discard need not know. */
interface ParkedBody extends Omit<Parcel, 'parked'> {
  readonly role: 'send'
  readonly index: 0
}

/** An event that was not sent, for those who are told. */
export interface SendFailure {
  readonly event: EventRecord
  readonly error: QuadrilleError
  /** When it is tried again; null for never: then it is the dead letter `letter`. */
  readonly retryAt: number | null
  readonly letter: string
}

/** What is to be written down about a batch. */
export interface Outcome {
  readonly sent: readonly EventRecord[]
  readonly failures: readonly SendFailure[]
  readonly puts: readonly LedgerRecord[]
  readonly removes: readonly RecordKey[]
}

/** By what a batch is judged. */
export interface Judgement {
  readonly reader: string
  readonly retry: FullRetry
  readonly nowMs: number
  readonly random: () => number
  /** A new id of a dead letter. */
  readonly letter: () => string
  /** For lanes that were not loaded to their end: the event after the last one loaded, as it is put when it is its turn. */
  readonly next: readonly LedgerRecord[]
}

/** An event from the log. */
export const parcel = (event: EventRecord): Parcel => ({ event, redrives: 0, failed: 0, tries: [], parked: false })

/** A parked event. */
export function parcelOf(record: LedgerRecord): Parcel {
  const { event, redrives, failed, tries } = JSON.parse(record.body) as ParkedBody
  return { event, redrives, failed, tries, parked: true }
}

/** A parked event as `health()` tells of it. */
export function parkedReport({ event: { id, type, key }, failed, tries }: Parcel): ParkedReport {
  return { id, type, key, failed, error: tries.at(-1)?.message ?? null }
}

/** What is handed to the wire: the same id on every try, a new dedupe id after every redrive. */
export function outgoingOf({ event, redrives }: Parcel): OutgoingMessage {
  return { event: unmarked(event), dedupeId: redrives === 0 ? event.id : `${event.id}#${redrives}` }
}

const parkedKey = (reader: string, { event }: Parcel) => ({
  scope: reader,
  kind: parkedKind,
  id: `${String(event.position).padStart(16, '0')}|send`,
})

/** An event that waits: until `due`, or behind an earlier one of its key when that is null. */
export function parkedRecord(reader: string, it: Parcel, due: number | null): LedgerRecord {
  const { event, redrives, failed, tries } = it
  const body: ParkedBody = { role: 'send', index: 0, event, redrives, failed, tries }
  return {
    ...parkedKey(reader, it),
    partition: partitionOf(event.key),
    lane: laneOf(sendReaction, event.key),
    seq: event.position,
    due,
    expires: null,
    body: JSON.stringify(body),
  }
}

/** What becomes of parcels, given in order, with what the wire has answered. */
export function outcomeOf(
  parcels: readonly Parcel[],
  results: readonly (QuadrilleError | null)[],
  by: Judgement,
): Outcome {
  const sent: EventRecord[] = []
  const failures: SendFailure[] = []
  const puts: LedgerRecord[] = []
  const removes: RecordKey[] = []
  const blocked = new Set<string>()
  parcels.forEach((each, index) => {
    const error = results[index]!
    const lane = laneOf(sendReaction, each.event.key)
    if (error === null) {
      sent.push(each.event)
      if (each.parked) removes.push(parkedKey(by.reader, each))
    } else if (blocked.has(lane)) {
      if (!each.parked) puts.push(parkedRecord(by.reader, each, null))
    } else if (error.code === 'WIRE_SEND_HELD') {
      // What held it back is a dead letter now: it is the next one.
      puts.push(parkedRecord(by.reader, each, by.nowMs))
      blocked.add(lane)
    } else {
      const { put, failure } = judge(each, error, by)
      puts.push(put)
      failures.push(failure)
      if (failure.retryAt !== null) blocked.add(lane)
      else if (each.parked) removes.push(parkedKey(by.reader, each))
    }
  })
  puts.push(...by.next.filter(({ lane }) => !blocked.has(lane!)))
  return { sent, failures, puts, removes }
}

/** Parks an event that could not be sent, or makes it a dead letter. */
function judge(it: Parcel, error: QuadrilleError, by: Judgement): { put: LedgerRecord; failure: SendFailure } {
  const { reader, retry, nowMs } = by
  const last = failedTry(error, nowMs)
  const tried = { ...it, failed: it.failed + 1, tries: [...it.tries, last].slice(-triesMax) }
  const { event, redrives, failed, tries } = tried
  if (error.retryable && failed < retry.attempts) {
    const retryAt = nowMs + backoffMs(retry, failed, by.random())
    return { put: parkedRecord(reader, tried, retryAt), failure: { event, error, retryAt, letter: '' } }
  }
  const letter = by.letter()
  const code = last.code ?? last.name
  const put = deadRecord(reader, letter, {
    role: 'send',
    index: 0,
    event,
    redrives,
    failed,
    tries,
    service: reader,
    reaction: sendReaction,
    code,
    message: last.message,
    at: nowMs,
    holds: false,
  })
  return { put, failure: { event, error, retryAt: null, letter } }
}

/** The payloads of a batch, so that a few large events do not fill the memory. */
const batchBytesMax = 4 * 2 ** 20

/** The events of a page up to the limit of bytes, and how far that is. */
export function cut(events: readonly EventRecord[], upTo: number) {
  let bytes = 0
  const end = events.findIndex((event) => (bytes += event.data.length) > batchBytesMax)
  if (end <= 0) return { events, upTo, isCut: false }
  return { events: events.slice(0, end), upTo: events[end - 1]!.position, isCut: true }
}

const pageMax = 1_000

/** The lanes with parked events: for each null, or its first record when none of the lane is due by itself. */
export async function parkedLanes(
  ledger: Ledger,
  reader: string,
  partitions: readonly number[],
): Promise<ReadonlyMap<string, LedgerRecord | null>> {
  const first = new Map<string, LedgerRecord | null>()
  let afterId: string | undefined
  for (;;) {
    const query = { scope: reader, kind: parkedKind, limit: pageMax, partitions }
    const page = await ledger.query({ ...query, ...(afterId === undefined ? {} : { afterId }) })
    for (const record of page) {
      const lane = record.lane!
      if (record.due !== null) first.set(lane, null)
      else if (!first.has(lane)) first.set(lane, record)
    }
    if (page.length < pageMax) return first
    afterId = page[page.length - 1]!.id
  }
}
