/** Events as parameters of `append_1`, and as they come back from the table. */
import type { EventRecord, NewEvent } from 'quadrille'
import { floatArray, intArray, textArray, type Field, type WireValue } from './wire-values.ts'

/** Columns in the order in which {@link eventOfRow} expects them. */
export const eventColumns =
  'position, id, type, version, source, key, correlation_id, causation_id, reaction, hops, time, traceparent, ' +
  'tracestate, data, extensions'

/** The parameters of `append_1`, in its order. */
export function appendValues(events: readonly NewEvent[]): WireValue[] {
  const texts = (field: (event: NewEvent) => string | null) => textArray(events.map(field))
  return [
    texts((event) => event.id),
    texts((event) => event.type),
    intArray(events.map((event) => event.version)),
    texts((event) => event.source),
    texts((event) => event.key),
    texts((event) => event.correlationId),
    texts((event) => event.causationId),
    texts((event) => event.reaction),
    intArray(events.map((event) => event.hops)),
    floatArray(events.map((event) => event.time)),
    texts((event) => event.traceparent),
    texts((event) => event.tracestate),
    texts((event) => event.data),
    texts((event) => event.extensions),
  ]
}

/** The event in a row of {@link eventColumns}, which begin at `from`. */
export function eventOfRow(row: readonly Field[], from = 0): EventRecord {
  return {
    position: Number(row[from]),
    id: row[from + 1]!,
    type: row[from + 2]!,
    version: Number(row[from + 3]),
    source: row[from + 4]!,
    key: row[from + 5]!,
    correlationId: row[from + 6]!,
    causationId: row[from + 7]!,
    reaction: row[from + 8]!,
    hops: Number(row[from + 9]),
    time: Number(row[from + 10]),
    traceparent: row[from + 11]!,
    tracestate: row[from + 12]!,
    data: row[from + 13]!,
    extensions: row[from + 14]!,
  }
}
