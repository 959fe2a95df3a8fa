/** Makes event records for tests, without a ledger. */
import type { EventRecord } from 'quadrille'

/** Where fixtures put the beginning of time. */
export const startMs = Date.UTC(2026, 10, 23)

/** An event record; `time` is given in milliseconds since {@link startMs}. */
export function record(fields: Partial<EventRecord> & Pick<EventRecord, 'id'>): EventRecord {
  return {
    type: 'order.created',
    version: 1,
    source: 'orders',
    key: 'o-1',
    correlationId: 'c-1',
    causationId: null,
    reaction: null,
    hops: 0,
    traceparent: null,
    tracestate: null,
    data: '{}',
    extensions: null,
    position: 1,
    ...fields,
    time: startMs + (fields.time ?? 0),
  }
}
