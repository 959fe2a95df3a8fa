/** What is sent: the order events of the other benchmarks, as a ledger holds them and as a bare client sends them. */
import { event, toBinaryEvent, type EventRecord } from 'quadrille'
import * as z from 'zod'

const item = z.object({ productId: z.string(), quantity: z.number(), price: z.number() })

/** The event type of a run. Half a kilobyte of data. */
export const contractOf = (type: string) =>
  event(type, {
    key: 'orderId',
    schema: z.object({ orderId: z.string(), sentAt: z.number(), items: z.array(item), note: z.string() }),
  })

const items = Array.from({ length: 4 }, (_, n) => ({ productId: `product-${n}`, quantity: n + 1, price: 9.99 }))

/** The data of the nth event, due at `sentAt` (milliseconds on the clock that all processes share). */
export const dataOf = (n: number, sentAt: number) => ({
  orderId: `order-${n % 500}`,
  sentAt,
  items,
  note: 'x'.repeat(220),
})

/** Milliseconds on the machine's monotonic clock, the same in every process: the time of day may be set meanwhile. */
export const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6

/** A message for a bare client: the same bytes that the wire sends. */
export interface RawMessage {
  readonly key: string
  readonly attributes: Readonly<Record<string, string>>
  readonly body: string
}

/** The nth event as the wire sends it. */
export function rawMessage(type: string, n: number, sentAt: number): RawMessage {
  const id = `019f0000-0000-7000-8000-${String(n).padStart(12, '0')}`
  const record: EventRecord = {
    id,
    type,
    version: 1,
    source: 'publish',
    key: `order-${n % 500}`,
    correlationId: id,
    causationId: null,
    reaction: null,
    hops: 0,
    time: Math.floor(sentAt),
    traceparent: null,
    tracestate: null,
    data: JSON.stringify(dataOf(n, sentAt)),
    extensions: null,
    position: n + 1,
  }
  const { attributes, data } = toBinaryEvent(record)
  return { key: record.key, attributes, body: data }
}
