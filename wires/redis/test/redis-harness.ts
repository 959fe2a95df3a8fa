/** The conformance cases on a real server: each case has a stream of its own, each wire a proxy of its own. */
import type { Broker } from '@quadrille/brokers'
import { Redis } from 'ioredis'
import { systemEnv, type Wire } from 'quadrille'
import { tcpProxy, type TcpProxy, type WireHarness, type WirePlace } from 'quadrille/conformance'
import { redis, type RedisOptions } from '../src/index.ts'

const wiresMax = 8

/** A place at a running server, for conformance cases and our own. */
export async function redisPlace(broker: Broker, options: Partial<RedisOptions> = {}) {
  const prefix = `case-${systemEnv.uuid().slice(-10)}`
  const proxies = await Promise.all(Array.from({ length: wiresMax }, () => tcpProxy({ port: broker.port })))
  const used = new Map<Wire, TcpProxy>()
  const place = {
    stream: `{${prefix}}:events`,
    positions: `{${prefix}}:positions`,
    proxyOf: (wire: Wire) => used.get(wire)!,
    connect(more: Partial<RedisOptions> = {}): Wire {
      const proxy = proxies[used.size]!
      const url = `redis://127.0.0.1:${proxy.port}`
      const wire = redis({ url, prefix, lease: '2s', timeout: '3s', ...options, ...more })
      used.set(wire, proxy)
      return wire
    },
    /** Works at the server, past any wire. */
    async admin<T>(work: (client: Redis) => Promise<T>): Promise<T> {
      const client = new Redis(broker.port, '127.0.0.1', { protocol: 2 })
      client.on('error', () => {})
      try {
        return await work(client)
      } finally {
        client.disconnect()
      }
    },
    async remove(): Promise<void> {
      for (const proxy of proxies) await proxy.close()
      await place.admin((client) => client.del(place.stream, place.positions))
    },
  }
  return place
}

/** Everything that the suite can ask of Redis. */
export function redisHarness(broker: () => Broker): WireHarness {
  return {
    name: 'redis',
    capabilities: redis({ url: 'redis://localhost' }).capabilities,
    patienceMs: 25_000,
    create: async () => conformancePlace(broker()),
  }
}

async function conformancePlace(broker: Broker): Promise<WirePlace> {
  const place = await redisPlace(broker)
  return {
    connect: () => place.connect(),
    env: systemEnv,
    hooks: {
      inject: ({ type, body }) =>
        place.admin(async (client) => {
          await client.xadd(place.stream, '*', 'type', type, 'data', Buffer.from(body))
        }),
      crash: (wire) => place.proxyOf(wire).close(),
      async freeze(wire) {
        place.proxyOf(wire).freeze()
        return async () => place.proxyOf(wire).thaw()
      },
      async killBroker() {
        await broker.kill()
        return () => broker.restart()
      },
      removeSubscription: ({ service }) =>
        place.admin(async (client) => {
          await client.xgroup('DESTROY', place.stream, service)
        }),
      dropUnread: () =>
        place.admin(async (client) => {
          await client.xtrim(place.stream, 'MAXLEN', 0)
        }),
      forget: () =>
        place.admin(async (client) => {
          await client.del(place.stream, place.positions)
        }),
      outstanding: ({ service }) =>
        place.admin(async (client) => Number((await client.xpending(place.stream, service))[0])),
    },
    remove: () => place.remove(),
  }
}
