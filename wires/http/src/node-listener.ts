/** The endpoint as a listener of node:http. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { HttpWire } from './http-wire.ts'

/**
 * Answers requests of a server of node:http with the endpoint of a wire: `createServer(nodeListener(wire))`, or for one
 * path of a server that has others: `if (req.url === '/events') nodeListener(wire)(req, res)`.
 */
export function nodeListener(wire: Pick<HttpWire, 'answer'>): (req: IncomingMessage, res: ServerResponse) => void {
  return (req, res) => {
    void respond(wire, req, res).catch(() => {
      // The connection is gone, or the request can not be read: there is nobody to answer.
      res.destroy()
    })
  }
}

async function respond(wire: Pick<HttpWire, 'answer'>, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const headers = new Headers()
  for (let at = 0; at < req.rawHeaders.length; at += 2) headers.append(req.rawHeaders[at]!, req.rawHeaders[at + 1]!)
  const request = new Request(new URL(req.url ?? '/', 'http://localhost'), { method: req.method ?? 'GET', headers })
  const response = await wire.answer(request, (bytesMax) => readBody(req, bytesMax))
  // A body that was not read to its end stands in the way of the next request on this connection.
  if (!req.complete) res.setHeader('connection', 'close')
  res.writeHead(response.status, Object.fromEntries(response.headers))
  res.end(response.body === null ? undefined : Buffer.from(await response.arrayBuffer()))
}

/** Not as a stream of the web, which costs as much as all else that is done for a request. */
function readBody(req: IncomingMessage, bytesMax: number): Promise<Uint8Array | null> {
  return new Promise((resolve, reject) => {
    const parts: Uint8Array[] = []
    let size = 0
    req.on('data', (part: Uint8Array) => {
      size += part.length
      parts.push(part)
      if (size <= bytesMax) return
      req.pause()
      resolve(null)
    })
    req.on('end', () => resolve(Buffer.concat(parts, size)))
    req.on('error', reject)
    req.on('close', () => reject(req.errored))
  })
}
