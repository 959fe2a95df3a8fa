/** The few assertions that the cases need, and the makings of their data. No test runner is asked for. */
import { holds, same } from '../../base/expectation.ts'
import { QuadrilleError } from '../../base/index.ts'
import type { EventRecord, NewEvent } from '../../contracts/index.ts'
import type { Ledger, LedgerRecord, LedgerTx, RecordKey } from '../ledger.ts'

export { holds, refused, same, soon } from '../../base/expectation.ts'

/** An event with this id; the rest as given, or plain. */
export function newEvent(id: string, fields: Partial<NewEvent> = {}): NewEvent {
  return {
    id,
    type: 'thing.happened',
    version: 1,
    source: 'conformance',
    key: 'key-1',
    correlationId: id,
    causationId: null,
    reaction: null,
    hops: 0,
    time: 1_700_000_000_000,
    traceparent: null,
    tracestate: null,
    data: `{"id":"${id}"}`,
    extensions: null,
    ...fields,
  }
}

/** A record with this id; the rest as given, or plain. */
export function newRecord(id: string, fields: Partial<LedgerRecord> = {}): LedgerRecord {
  const plain = { scope: 'reader-1', kind: 'work', id, partition: -1, lane: null, seq: 0, due: null, expires: null }
  return { ...plain, body: '{}', ...fields }
}

export const keyOf = ({ scope, kind, id }: RecordKey): RecordKey => ({ scope, kind, id })

/** Appends in a transaction of its own. */
export function append(ledger: Ledger, ...events: readonly NewEvent[]): Promise<readonly (number | null)[]> {
  return ledger.transact((tx) => tx.append(events))
}

/** Saves in a transaction of its own. */
export function save(ledger: Ledger, ...records: readonly LedgerRecord[]): Promise<void> {
  return ledger.transact((tx) => tx.save(records))
}

/** The ids of events or records. */
export const idsOf = (entries: readonly { readonly id: string }[]): string[] => entries.map((entry) => entry.id)

/** Pages that a whole log of a case has at most. */
const pagesMax = 500

/** Reads from a position to the end, page by page. */
export async function readAll(
  ledger: Ledger,
  query: { readonly after?: number; readonly limit?: number; readonly types?: readonly string[] } = {},
): Promise<{ readonly events: readonly EventRecord[]; readonly upTo: number }> {
  const { after = 0, limit = 100, types } = query
  const events: EventRecord[] = []
  let upTo = after
  for (let pages = 0; pages < pagesMax; pages++) {
    const page = await ledger.read(types === undefined ? { after: upTo, limit } : { after: upTo, limit, types })
    events.push(...page.events)
    holds(page.events.length <= limit, 'a page has no more events than its limit')
    holds(page.upTo >= upTo, 'a page never ends before it began')
    upTo = page.upTo
    if (page.end) return { events, upTo }
  }
  throw new QuadrilleError('CONFORMANCE_FAILED', {
    promise: 'reading on reaches the end of the log',
    expected: 'end',
    got: `${pagesMax} pages without it`,
  })
}

/** A promise from outside, for works that wait for each other. */
export function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { opened: promise, open: resolve }
}

/** Thrown by works on purpose; recognised by identity. */
export const wanted = new QuadrilleError('INTERNAL', { sentence: 'thrown by a conformance case on purpose' })

/** Runs a work that fails on purpose, and fails unless its own error comes out. */
export async function failing(ledger: Ledger, work: (tx: LedgerTx) => Promise<unknown>): Promise<void> {
  try {
    await ledger.transact(async (tx) => {
      await work(tx)
      throw wanted
    })
  } catch (error) {
    same(error === wanted, true, `the error of a work comes out as it was thrown`)
    return
  }
  holds(false, 'a transaction whose work throws does not resolve')
}
