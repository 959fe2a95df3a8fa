/** Two versions of a service receive webhooks on one port at the same time, as during a release. */
import { createServer } from 'node:http'
import { test } from 'node:test'
import { freePort } from '@quadrille/brokers'
import { releaseLosesNothing, releases } from '@quadrille/brokers/wire-release'
import { http, nodeListener, type HttpWire } from '@quadrille/http'

const secret = `whsec_${Buffer.alloc(32, 3).toString('base64')}`

/** A wire that listens for as long as it is open; the kernel spreads connections over those that share the port. */
function listening(port: number): HttpWire {
  const target = { url: `http://127.0.0.1:${port}/`, mode: 'structured', secret, timeout: '2s' } as const
  const wire = http({ target, endpoint: { secret } })
  const server = createServer(nodeListener(wire))
  const receive = wire.receive.bind(wire)
  const close = wire.close.bind(wire)
  wire.receive = async (subscription, deliver) => {
    const receiver = await receive(subscription, deliver)
    server.listen({ port, host: '127.0.0.1', reusePort: true })
    return receiver
  }
  wire.close = async () => {
    server.close()
    server.closeAllConnections()
    await close()
  }
  return wire
}

for (const what of releases)
  test(`a release loses nothing that only the new version receives; ${what}`, { timeout: 240_000 }, async (t) => {
    const port = await freePort()
    await releaseLosesNothing(t, { wire: () => listening(port), what })
  })
