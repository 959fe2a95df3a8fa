/**
 * Webhooks in batches, signed. There is no broker; the bare one is what a careful team writes by hand with fetch, node:http
 * and node:sqlite: 250 CloudEvents a request, signed as Standard Webhooks says, and answered when they are in a table, each
 * once, by one commit with `synchronous=FULL`.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import { DatabaseSync } from 'node:sqlite'
import { buffer } from 'node:stream/consumers'
import { http, nodeListener } from '@quadrille/http'
import type { RawMessage } from './wire-messages.ts'
import type { WireSystem } from './wire-systems.ts'

const key = Buffer.alloc(32, 1)
const secret = `whsec_${key.toString('base64')}`
/** As many as the wire. */
const batchMax = 250

const signatureOf = (id: string, timestamp: string, body: Uint8Array): Buffer =>
  createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest()

const eventText = ({ attributes, body }: RawMessage): string =>
  `${JSON.stringify(attributes).slice(0, -1)},"data":${body}}`

interface BareEvent {
  readonly id: string
  readonly type: string
  readonly partitionkey: string
  readonly time: string
  readonly data: unknown
}

/** A table with a row for each event; returns how to take a batch: the data of what is new. */
function inbox(file: string): (events: readonly BareEvent[]) => readonly string[] {
  const db = new DatabaseSync(file)
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
  db.exec('CREATE TABLE inbox (id TEXT PRIMARY KEY, type TEXT, key TEXT, time TEXT, data TEXT)')
  const insert = db.prepare('INSERT INTO inbox VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING')
  return (events) => {
    db.exec('BEGIN IMMEDIATE')
    const taken = events.flatMap(({ id, type, partitionkey, time, data }) => {
      const text = JSON.stringify(data)
      return insert.run(id, type, partitionkey, time, text).changes === 0 ? [] : [text]
    })
    db.exec('COMMIT')
    return taken
  }
}

export const httpSystem: WireSystem = {
  broker: null,
  goal: 0.7,
  async wire(url, _place, side) {
    if (side === 'sender') return http({ target: { url, mode: 'batch', secret } })
    const wire = http({ endpoint: { secret } })
    // The process ends with its app, not with its server.
    const server = createServer(nodeListener(wire)).unref()
    server.on('connection', (socket) => socket.unref())
    await new Promise<void>((done) => server.listen(Number(new URL(url).port), '127.0.0.1', done))
    return wire
  },
  async rawSender(url) {
    return {
      async send(messages) {
        for (let at = 0; at < messages.length; at += batchMax) {
          const batch = messages.slice(at, at + batchMax)
          const body = Buffer.from(`[${batch.map(eventText).join(',')}]`)
          const id = batch[0]!.attributes['id']!
          const timestamp = String(Math.floor(Date.now() / 1000))
          const signature = `v1,${signatureOf(id, timestamp, body).toString('base64')}`
          const signed = { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature }
          const answer = await fetch(url, { method: 'POST', headers: signed, body })
          await answer.arrayBuffer()
          if (answer.status !== 202) throw new Error(`the receiver answered ${answer.status}`)
        }
      },
      close: async () => {},
    }
  },
  async rawReceiver({ url, file }, got) {
    const utf8 = new TextEncoder()
    const take = inbox(file)
    const server = createServer((request, response) => {
      void buffer(request).then((body) => {
        const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature } = request.headers
        const given = Buffer.from(String(signature).slice('v1,'.length), 'base64')
        const wanted = signatureOf(String(id), String(timestamp), body)
        if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return response.writeHead(401).end()
        const taken = take(JSON.parse(body.toString()) as BareEvent[])
        response.writeHead(202).end()
        for (const data of taken) got(utf8.encode(data))
      })
    })
    await new Promise<void>((done) => server.listen(Number(new URL(url).port), '127.0.0.1', done))
    return {
      async close() {
        server.closeAllConnections()
        server.close()
      },
    }
  },
}
