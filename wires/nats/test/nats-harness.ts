/** The conformance cases on a real server: each case has a stream of its own, each wire a proxy of its own. */
import { jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import type { Broker } from '@quadrille/brokers'
import { sleep, systemEnv, type Wire } from 'quadrille'
import { tcpProxy, type TcpProxy, type WireHarness, type WirePlace } from 'quadrille/conformance'
import { nats, type NatsOptions } from '../src/index.ts'
import { consumerName, subjectOf } from '../src/nats-message.ts'
import { settleMs } from '../src/nats-topology.ts'

const wiresMax = 8

/** A place at a running server, for conformance cases and our own. */
export async function natsPlace(broker: Broker, options: Partial<NatsOptions> = {}) {
  const id = systemEnv.uuid().slice(-10)
  const [stream, prefix] = [`CASE_${id}`, `case-${id}`]
  const proxies = await Promise.all(Array.from({ length: wiresMax }, () => tcpProxy({ port: broker.port })))
  const used = new Map<Wire, TcpProxy>()
  const place = {
    stream,
    prefix,
    proxyOf: (wire: Wire) => used.get(wire)!,
    connect(more: Partial<NatsOptions> = {}): Wire {
      const proxy = proxies[used.size]!
      const servers = `nats://127.0.0.1:${proxy.port}`
      const wire = nats({ servers, stream, prefix, ackWait: '2s', timeout: '3s', ...options, ...more })
      used.set(wire, proxy)
      return wire
    },
    /** Works at the server, past any wire. */
    async admin<T>(work: (at: Admin) => Promise<T>): Promise<T> {
      const connection = await connect({ servers: `127.0.0.1:${broker.port}` })
      try {
        return await work({ connection, manager: await jetstreamManager(connection) })
      } finally {
        await connection.close()
      }
    },
    async removeStreams(): Promise<void> {
      await place.admin(async ({ manager }) => {
        for (const name of [stream, `${stream}_POSITIONS`]) await manager.streams.delete(name).catch(() => false)
      })
    },
    async remove(): Promise<void> {
      for (const proxy of proxies) await proxy.close()
      await place.removeStreams()
    },
  }
  return place
}

interface Admin {
  readonly connection: NatsConnection
  readonly manager: Awaited<ReturnType<typeof jetstreamManager>>
}

/** Everything that the suite can ask of NATS. */
export function natsHarness(broker: () => Broker): WireHarness {
  return {
    name: 'nats',
    capabilities: nats({ servers: '127.0.0.1' }).capabilities,
    patienceMs: 25_000,
    create: async () => conformancePlace(broker()),
  }
}

async function conformancePlace(broker: Broker): Promise<WirePlace> {
  const place = await natsPlace(broker)
  return {
    connect: () => place.connect(),
    env: systemEnv,
    hooks: {
      inject: ({ type, body }) =>
        place.admin(async ({ manager }) => {
          await manager.jetstream().publish(subjectOf(place.prefix, type), body)
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
        place.admin(async ({ manager }) => {
          await manager.consumers.delete(place.stream, consumerName(service)).catch((error: Error) => {
            // Seen once, probably because the server was writing its state just then. If it is not gone, the case fails.
            if (!error.message.includes('directory not empty')) throw error
          })
        }),
      dropUnread: () =>
        place.admin(async ({ manager }) => {
          await manager.streams.purge(place.stream)
        }),
      async forget() {
        await place.removeStreams()
        // The server removes the files later, and would remove those of new streams of these names.
        await sleep(systemEnv, settleMs)
      },
      outstanding: ({ service }) =>
        place.admin(
          async ({ manager }) => (await manager.consumers.info(place.stream, consumerName(service))).num_ack_pending,
        ),
    },
    remove: () => place.remove(),
  }
}
