/** A TCP proxy on the loopback interface, between a wire and its broker, that can freeze and cut what passes. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

/** A running proxy. Give each wire one of its own, and hand the wire `port` instead of the broker's. */
export interface TcpProxy {
  /** Where it listens on 127.0.0.1. */
  readonly port: number
  /** How many connections pass through it. */
  readonly connections: number
  /** No byte passes any more, in either direction; connections stay open, new ones are accepted and hang. */
  freeze(): void
  /** Everything flows again, what was held back first. */
  thaw(): void
  /** Resets every connection, as a broken cable with an impatient router does. New ones are still accepted. */
  cut(): void
  /** Resets every connection and refuses new ones, for good. */
  close(): Promise<void>
}

/**
 * Starts a proxy to a broker. Close it when the case ends.
 *
 * @param target - Where the broker listens; host by default 127.0.0.1.
 */
export async function tcpProxy(target: { readonly host?: string; readonly port: number }): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  let frozen = false
  const server = createServer((client) => {
    const broker = connect({ host: target.host ?? '127.0.0.1', port: target.port })
    const ends = [client, broker]
    const cut = () => {
      for (const end of ends) {
        end.destroy()
        sockets.delete(end)
      }
    }
    for (const [from, to] of [
      [client, broker],
      [broker, client],
    ] as const) {
      from.setNoDelay(true)
      sockets.add(from)
      if (frozen) from.pause()
      from.on('data', (bytes) => {
        if (!to.write(bytes)) from.pause()
      })
      to.on('drain', () => frozen || from.resume())
      from.on('end', () => to.end())
      from.on('error', cut)
      from.on('close', () => {
        sockets.delete(from)
        to.end()
      })
    }
  })
  await listening(server)
  const { port } = server.address() as AddressInfo
  const cut = () => {
    for (const socket of sockets) reset(socket)
    sockets.clear()
  }
  return {
    port,
    get connections() {
      return sockets.size / 2
    },
    freeze() {
      frozen = true
      for (const socket of sockets) socket.pause()
    },
    thaw() {
      frozen = false
      for (const socket of sockets) socket.resume()
    },
    cut,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      cut()
      await closed
    },
  }
}

/**
 * Ends a connection with a reset; one whose end is already on its way, without: there Node fails to reset (`EINVAL`), leaves the
 * socket open, and the process turns round for ever at its exit.
 */
export function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}

function listening(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
}
