/** Ports and connections on loopback. */
import { connect, createServer, type Socket } from 'node:net'

const host = '127.0.0.1'

/** Below the ports that systems give to outgoing connections: one that was free a moment ago stays free. */
const ports = { from: 10_000, to: 32_000 }

/** A port that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = ports.from + Math.floor(Math.random() * (ports.to - ports.from))
    if (await canListen(port)) return port
  }
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.on('error', () => resolve(false))
    server.listen(port, host, () => server.close(() => resolve(true)))
  })
}

/** Whether somebody accepts connections there. */
export function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host })
    const done = (open: boolean): void => {
      socket.destroy()
      resolve(open)
    }
    socket.setTimeout(2_000, () => done(false))
    socket.on('connect', () => done(true))
    socket.on('error', () => done(false))
  })
}

/** Stands between clients and a broker. */
export interface TcpProxy {
  readonly port: number
  /** Connections stay open, and new ones are accepted, but not a byte gets through in either direction. */
  freeze(): void
  /** What was held back gets through. */
  thaw(): void
  /** Ends every connection at once, and refuses new ones until {@link TcpProxy.mend}. */
  cut(): void
  mend(): void
  /** How many connections are open. */
  connections(): number
  close(): Promise<void>
}

/**
 * A proxy on a free port, or on the one given, to the port of a broker.
 *
 * @param target - The port, or what tells it for each new connection.
 */
export async function tcpProxy(target: number | (() => number), ownPort = 0): Promise<TcpProxy> {
  const pairs = new Set<readonly [Socket, Socket]>()
  let frozen = false
  let isCut = false
  const server = createServer((client) => {
    if (isCut) return void client.destroy()
    const broker = connect({ port: typeof target === 'number' ? target : target(), host })
    const pair = [client, broker] as const
    pairs.add(pair)
    for (const [from, to] of [pair, [broker, client] as const]) {
      from.on('error', () => undefined)
      from.on('data', (chunk) => {
        if (!to.write(chunk)) from.pause()
      })
      to.on('drain', () => {
        if (!frozen) from.resume()
      })
      from.on('close', () => {
        to.destroy()
        pairs.delete(pair)
      })
      if (frozen) from.pause()
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject)
    server.listen(ownPort, host, resolve)
  })
  const everySocket = (act: (socket: Socket) => void): void => {
    for (const pair of pairs) for (const socket of pair) act(socket)
  }
  return {
    port: (server.address() as { port: number }).port,
    freeze() {
      frozen = true
      everySocket((socket) => socket.pause())
    },
    thaw() {
      frozen = false
      everySocket((socket) => socket.resume())
    },
    cut() {
      isCut = true
      everySocket((socket) => socket.destroy())
    },
    mend() {
      isCut = false
    },
    connections: () => pairs.size,
    close() {
      everySocket((socket) => socket.destroy())
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
