/**
 * Places for the conformance cases: every wire is a process with an address of its own, and all send to one address, where
 * a load balancer forwards a request to one process of each service that receives its type. It keeps nothing: what is not
 * taken, the sender has still to send.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { tcpProxy, type TcpProxy } from '@quadrille/brokers'
import { systemEnv, type Subscription, type Wire } from 'quadrille'
import type { WireHarness, WirePlace } from 'quadrille/conformance'
import { http, nodeListener, type HttpMode, type HttpWire } from '@quadrille/http'

const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`

/** A process that receives for a service. */
interface Backend {
  readonly subscription: Subscription
  readonly url: string
  live: boolean
}

interface Running {
  readonly server: Server
  readonly port: number
}

async function listen(listener: (req: IncomingMessage, res: ServerResponse) => void, at = 0): Promise<Running> {
  const server = createServer(listener)
  await new Promise<void>((done) => server.listen(at, '127.0.0.1', done))
  return { server, port: (server.address() as AddressInfo).port }
}

const end = ({ server }: Running): Promise<void> =>
  new Promise((done) => {
    server.close(() => done())
    server.closeAllConnections()
  })

const typeOf = (event: unknown): string | undefined => (event as { type?: string } | null)?.type

/** The load balancer. */
class Balancer {
  readonly backends: Backend[] = []
  readonly listener = (req: IncomingMessage, res: ServerResponse): void => {
    void this.#answer(req, res).catch(() => res.destroy())
  }
  #turn = 0

  async #answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const body = await buffer(req)
    const events = req.headers['ce-type'] ? [{ type: req.headers['ce-type'] }] : [JSON.parse(body.toString())].flat()
    const isWanted = ({ subscription }: Backend) =>
      events.some((event) => subscription.types.some(({ type }) => type === typeOf(event)))
    const services = Map.groupBy(this.backends.filter(isWanted), ({ subscription }) => subscription.service)
    const known = new Set(this.backends.flatMap(({ subscription }) => subscription.types.map(({ type }) => type)))
    if (!events.every((event) => known.has(typeOf(event) ?? ''))) return void res.writeHead(404).end()
    for (const processes of services.values()) {
      const live = processes.filter((each) => each.live)
      const chosen = live[this.#turn++ % live.length]
      if (!chosen) return void res.writeHead(503, { 'retry-after': '0' }).end()
      const { status, text } = await this.#forward(chosen, req, body)
      if (status >= 300) return void res.writeHead(status).end(text)
    }
    res.writeHead(202).end()
  }

  async #forward(to: Backend, req: IncomingMessage, body: Buffer) {
    const kept = Object.entries(req.headers).filter(([name]) => /^(ce-|webhook-|content-type)/.test(name))
    // Of a batch with several types a service may want some, and the signature is over all: each gets all it wants.
    const answer = await fetch(to.url, {
      method: 'POST',
      headers: Object.fromEntries(kept) as Record<string, string>,
      body: new Uint8Array(body),
    }).catch(() => undefined)
    return { status: answer?.status ?? 502, text: (await answer?.text()) ?? '' }
  }
}

const synchronous = 'send resolves when the receiving ledger has committed: nothing waits anywhere in between'
const noBroker = 'there is no broker: what nobody receives, the sender keeps and sends again'

/** The cases that HTTP can not take, and why. */
const leftOut: Readonly<Record<string, string>> = {
  'an event that the broker has survives a kill of the broker': noBroker,
  'opening again changes nothing that exists': noBroker,
  'a broker that can not be reached is an error of open, that says so':
    'there is nothing to connect to before a request',
  'where a subscription starts counts only once: it goes on where it was': noBroker,
  'nothing is acknowledged before its delivery has ended': synchronous,
  'a slow ledger gets no more than it can take': synchronous,
  'while the ledger is slow, the rest stays at the broker': synchronous,
  'stop waits for the delivery in hand, and nothing is delivered after it': synchronous,
  'a stopped receiver gives back at once what it had fetched': synchronous,
  'closing a wire stops its receivers': noBroker,
  'a receiver that dies in the middle loses nothing': noBroker,
  'a receiver goes on by itself after the broker was killed, and says so':
    'nothing is lost while nothing is sent; sending, and what is told of it, are other cases and tests',
  'a connection that is frozen is noticed, and everything flows when it thaws': synchronous,
  'the lag counts what is not acknowledged, where the broker says so': synchronous,
}

export function httpHarness(mode: HttpMode): WireHarness {
  const signed = mode === 'binary' ? {} : { secret }
  const made = (url: string): HttpWire => http({ target: { url, mode, timeout: '2s', ...signed }, endpoint: signed })
  return {
    name: `http ${mode}`,
    capabilities: made('http://127.0.0.1').capabilities,
    cannot: {
      ...(mode === 'binary'
        ? {}
        : { inject: 'a body in this mode shows no type; what becomes of it is tested by itself' }),
      removeSubscription: 'there is none outside of the process',
      dropUnread: 'nothing waits anywhere',
      forget: 'what waits is in the ledger of the sender',
      outstanding: 'nothing waits anywhere',
    },
    leftOut,
    patienceMs: 10_000,
    create: () => placeFor(made),
  }
}

async function placeFor(made: (url: string) => HttpWire): Promise<WirePlace> {
  const balancer = new Balancer()
  let front = await listen(balancer.listener)
  const processes = new Map<Wire, { readonly listener: Promise<Running>; readonly proxy: TcpProxy }>()
  const spare: TcpProxy[] = []
  for (let count = 0; count < 6; count++) spare.push(await tcpProxy(front.port))
  const used: TcpProxy[] = []
  const take = (): TcpProxy => {
    const proxy = spare.pop()!
    used.push(proxy)
    return proxy
  }
  return {
    env: systemEnv,
    connect() {
      const proxy = take()
      const wire = made(`http://127.0.0.1:${proxy.port}/events`)
      const listener = listen(nodeListener(wire))
      processes.set(wire, { listener, proxy })
      const receive = wire.receive.bind(wire)
      wire.receive = async (subscription, deliver) => {
        const receiver = await receive(subscription, deliver)
        const backend: Backend = { subscription, url: `http://127.0.0.1:${(await listener).port}/`, live: true }
        balancer.backends.push(backend)
        const stop = async () => {
          backend.live = false
          await receiver.stop()
        }
        return { stop, health: () => receiver.health() }
      }
      return wire
    },
    hooks: {
      async inject({ type, body }) {
        const headers = { 'ce-specversion': '1.0', 'ce-type': type, 'ce-id': systemEnv.uuid(), 'ce-source': 'x' }
        const all = { 'content-type': 'application/json', ...headers }
        await fetch(`http://127.0.0.1:${front.port}/`, { method: 'POST', headers: all, body: new Uint8Array(body) })
      },
      async crash(wire) {
        const { listener, proxy } = processes.get(wire)!
        proxy.cut()
        const running = await listener
        for (const each of balancer.backends) if (each.url.includes(`:${running.port}/`)) each.live = false
        await end(running)
      },
      async freeze(wire) {
        const { proxy } = processes.get(wire)!
        proxy.freeze()
        return async () => proxy.thaw()
      },
      async killBroker() {
        await end(front)
        return async () => void (front = await listen(balancer.listener, front.port))
      },
    },
    async remove() {
      await end(front)
      for (const { listener } of processes.values()) await end(await listener)
      for (const proxy of [...spare, ...used]) await proxy.close()
    },
  }
}
