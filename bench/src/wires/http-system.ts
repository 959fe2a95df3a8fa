/** Webhooks in batches, signed, and what Node has by itself: fetch and node:http, 100 messages a request. There is no broker. */
import { createServer } from 'node:http'
import { json } from 'node:stream/consumers'
import { http, nodeListener } from '@quadrille/http'
import type { WireSystem } from './wire-systems.ts'

const secret = `whsec_${Buffer.alloc(32, 1).toString('base64')}`
const batchMax = 100

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
          const body = JSON.stringify(messages.slice(at, at + batchMax).map((message) => message.body))
          const answer = await fetch(url, { method: 'POST', body })
          await answer.arrayBuffer()
        }
      },
      close: async () => {},
    }
  },
  async rawReceiver(url, _topic, got) {
    const utf8 = new TextEncoder()
    const server = createServer((request, response) => {
      void json(request).then((bodies) => {
        for (const body of bodies as string[]) got(utf8.encode(body))
        response.writeHead(202).end()
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
