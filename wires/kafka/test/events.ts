/** Events for the tests, and how to read them again. */
import { fromBinaryEvent, fromCloudEvent, systemEnv } from 'quadrille'
import type { EventRecord, IncomingMessage, NewEvent, OutgoingMessage } from 'quadrille'

/** An event of a type and key, with `data` as JSON. */
export function eventOf(type: string, key: string, data: unknown): EventRecord {
  const id = systemEnv.uuid()
  return {
    id,
    type,
    version: 1,
    source: 'test',
    key,
    correlationId: id,
    causationId: null,
    reaction: null,
    hops: 0,
    time: systemEnv.now(),
    traceparent: null,
    tracestate: null,
    data: JSON.stringify(data),
    extensions: null,
    position: 1,
  }
}

export const outgoing = (event: EventRecord): OutgoingMessage => ({ event, dedupeId: event.id })

/** The event in a message. */
export const eventIn = ({ attributes, body }: IncomingMessage): NewEvent =>
  attributes === null ? fromCloudEvent(body) : fromBinaryEvent(attributes, body)

/** Waits for a fact. */
export async function until(fact: () => boolean | Promise<boolean>, what: string, withinMs = 60_000): Promise<void> {
  const latest = Date.now() + withinMs
  while (!(await fact())) {
    if (Date.now() > latest) throw new Error(`not within ${withinMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}
