/** The endpoint as a listener of node:http. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import type { HttpWire } from './http-wire.ts'

/**
 * Answers requests of a server of node:http with the endpoint of a wire: `createServer(nodeListener(wire))`, or for one
 * path of a server that has others: `if (req.url === '/events') nodeListener(wire)(req, res)`.
 */
export function nodeListener(wire: Pick<HttpWire, 'fetch'>): (req: IncomingMessage, res: ServerResponse) => void {
  return (req, res) => {
    void respond(wire, req, res).catch(() => {
      // The connection is gone, or the request can not be read: there is nobody to answer.
      res.destroy()
    })
  }
}

async function respond(wire: Pick<HttpWire, 'fetch'>, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const headers = new Headers()
  for (let at = 0; at < req.rawHeaders.length; at += 2) headers.append(req.rawHeaders[at]!, req.rawHeaders[at + 1]!)
  const bodiless = req.method === 'GET' || req.method === 'HEAD'
  const request = new Request(new URL(req.url ?? '/', 'http://localhost'), {
    method: req.method ?? 'GET',
    headers,
    ...(bodiless ? {} : { body: Readable.toWeb(req) as ReadableStream<Uint8Array>, duplex: 'half' }),
  })
  const response = await wire.fetch(request)
  // A body that was not read to its end stands in the way of the next request on this connection.
  if (!req.complete) res.setHeader('connection', 'close')
  res.writeHead(response.status, Object.fromEntries(response.headers))
  res.end(Buffer.from(await response.arrayBuffer()))
}
