/** Serves a Hono app on loopback, and stops without waiting for streams that would never end by themselves. */
import { createAdaptorServer, type HttpBindings } from '@hono/node-server'
import type { Hono } from 'hono'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

/** What handlers of a served app get besides the request. */
export interface Served {
  Bindings: HttpBindings
}

export interface HttpServer {
  readonly url: string
  close(): Promise<void>
}

/** Port 0 takes any free port. */
export async function serveHttp(app: Hono<Served>, port: number): Promise<HttpServer> {
  const server = createAdaptorServer({ fetch: app.fetch })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = once(server, 'close')
      server.close()
      if ('closeAllConnections' in server) server.closeAllConnections()
      await closed
    },
  }
}
