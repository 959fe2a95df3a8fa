/** What the tests of the HTTP wire share: events, a context, and a receiver that answers what a test says. */
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { silentLogger, systemEnv, type Env, type EventRecord, type OutgoingMessage, type WireContext } from 'quadrille'
import type { WireNotice } from 'quadrille'

let count = 0

export function eventOf(fields: Partial<EventRecord> = {}): EventRecord {
  count += 1
  const id = fields.id ?? `event-${count}`
  return {
    id,
    type: 'order.created',
    version: 1,
    source: 'orders',
    key: 'o-1',
    correlationId: id,
    causationId: null,
    reaction: null,
    hops: 0,
    time: Date.UTC(2026, 10, 26),
    traceparent: null,
    tracestate: null,
    data: '{"orderId":"o-1"}',
    extensions: null,
    position: count,
    ...fields,
  }
}

export const outgoing = (event: EventRecord): OutgoingMessage => ({ event, dedupeId: event.id })

export function contextOf(env: Env = systemEnv, notices: WireNotice[] = []): WireContext {
  return { env, log: silentLogger, sends: ['order.created'], notice: (notice) => notices.push(notice) }
}

/** A request as a receiver saw it. */
export interface Seen {
  readonly method: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** What a receiver answers. */
export interface Answer {
  readonly status: number
  readonly headers?: Record<string, string>
  readonly body?: string
  /** Does not answer before this. */
  readonly after?: Promise<unknown>
}

/** A foreign receiver: answers as a test says, and remembers what it saw. */
export async function receiverOf(answer: (seen: Seen) => Answer) {
  const seen: Seen[] = []
  const server: Server = createServer((req, res) => {
    const parts: Buffer[] = []
    req.on('data', (part: Buffer) => parts.push(part))
    req.on('end', () => {
      const request = { method: req.method!, headers: req.headers, body: Buffer.concat(parts) }
      seen.push(request)
      const { status, headers = {}, body = '', after } = answer(request)
      void Promise.resolve(after).then(() => res.writeHead(status, headers).end(body))
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/events`,
    seen,
    close: () =>
      new Promise<void>((done) => {
        server.close(() => done())
        server.closeAllConnections()
      }),
  }
}
