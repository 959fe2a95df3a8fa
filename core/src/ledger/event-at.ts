/** An event as a ledger keeps it. */
import type { EventRecord, NewEvent } from '../contracts/index.ts'

/** The event with its place in the log. One literal for all, in one order, so that they have one shape in memory. */
export function eventAt(position: number, event: NewEvent): EventRecord {
  return {
    position,
    id: event.id,
    type: event.type,
    version: event.version,
    source: event.source,
    key: event.key,
    correlationId: event.correlationId,
    causationId: event.causationId,
    reaction: event.reaction,
    hops: event.hops,
    time: event.time,
    traceparent: event.traceparent,
    tracestate: event.tracestate,
    data: event.data,
    extensions: event.extensions,
  }
}
