/** A real Kafka for the conformance cases: each wire reaches it through a listener and a proxy of its own. */
import { Admin, Producer } from '@platformatic/kafka'
import { systemEnv, type Wire } from 'quadrille'
import type { WireHarness, WirePlace } from 'quadrille/conformance'
import { freePort, realBroker, tcpProxy, type Broker, type TcpProxy } from '@quadrille/brokers'
import { kafka, type KafkaOptions } from '../src/index.ts'

/** Wires of one case that are told apart by their connections. */
const lanes = 8

/** A broker that tells the clients of each lane to come through the lane's proxy. */
export interface LanedBroker {
  readonly broker: Broker
  readonly proxies: readonly TcpProxy[]
  stop(): Promise<void>
}

/** Starts it. Clients that come to the broker directly stay outside of the proxies. */
export async function lanedBroker(settings: readonly string[] = []): Promise<LanedBroker> {
  const port = await freePort()
  const controller = await freePort()
  const inner: number[] = []
  const proxies: TcpProxy[] = []
  for (let lane = 0; lane < lanes; lane++) {
    inner.push(await freePort())
    proxies.push(await tcpProxy(inner[lane]!))
  }
  const each = (make: (lane: number) => string): string => inner.map((_, lane) => make(lane)).join(',')
  const broker = await realBroker('kafka').start({
    port,
    settings: [
      `controller.quorum.voters=1@127.0.0.1:${controller}`,
      `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller},${each((lane) => `L${lane}://127.0.0.1:${inner[lane]}`)}`,
      `advertised.listeners=PLAINTEXT://127.0.0.1:${port},${each((lane) => `L${lane}://127.0.0.1:${proxies[lane]!.port}`)}`,
      `listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,${each((lane) => `L${lane}:PLAINTEXT`)}`,
      'num.network.threads=1',
      'group.min.session.timeout.ms=1000',
      'log.retention.check.interval.ms=3600000',
      ...settings,
    ],
  })
  return {
    broker,
    proxies,
    async stop() {
      await broker.stop()
      for (const proxy of proxies) await proxy.close()
    },
  }
}

/** Short waits, so that a dead process is replaced soon. */
export const quick: Partial<KafkaOptions> = { sessionMs: 3_000, requestMs: 2_000, topics: { partitions: 4 } }

export const capabilities = kafka({ brokers: ['127.0.0.1:1'] }).capabilities

/** All cases on one broker; `laned` tells it once it runs. */
export function kafkaHarness(laned: () => LanedBroker): WireHarness {
  return {
    name: 'kafka',
    capabilities,
    patienceMs: 30_000,
    silenceMs: 500,
    cannot: { outstanding: 'Kafka does not say what it has handed to a client' },
    create: async () => placeOn(laned()),
  }
}

function placeOn({ broker, proxies }: LanedBroker): WirePlace {
  const laneOf = new Map<Wire, TcpProxy>()
  const options = (brokers: string): KafkaOptions => ({ brokers: [brokers], ...quick })
  const withAdmin = async (act: (admin: Admin) => Promise<unknown>): Promise<void> => {
    const admin = new Admin({ clientId: 'test', bootstrapBrokers: [broker.url] })
    try {
      await act(admin)
    } finally {
      await admin.close()
    }
  }
  return {
    env: systemEnv,
    connect() {
      const proxy = proxies[laneOf.size]
      if (proxy === undefined) throw new Error('a case with more wires than lanes')
      const wire = kafka(options(`127.0.0.1:${proxy.port}`))
      laneOf.set(wire, proxy)
      return wire
    },
    hooks: {
      async inject({ type, body }) {
        const producer = new Producer({ clientId: 'test', bootstrapBrokers: [broker.url] })
        await producer.send({ messages: [{ topic: type, value: Buffer.from(body) }], acks: -1 })
        await producer.close()
      },
      async crash(wire) {
        laneOf.get(wire)!.cut()
      },
      async freeze(wire) {
        const proxy = laneOf.get(wire)!
        proxy.freeze()
        return async () => proxy.thaw()
      },
      async killBroker() {
        await broker.kill()
        return () => broker.restart()
      },
      removeSubscription: ({ types }) => withAdmin((admin) => admin.deleteTopics({ topics: [...types] })),
      forget: ({ service }) => withAdmin((admin) => admin.deleteGroups({ groups: [service] })),
      dropUnread: ({ types }) =>
        withAdmin(async (admin) => {
          const { topics } = await admin.metadata({ topics: [...types] })
          await admin.deleteRecords({
            topics: [...topics].map(([name, { partitionsCount }]) => ({
              name,
              partitions: [...Array(partitionsCount).keys()].map((partition) => ({ partition, offset: -1n })),
            })),
          })
        }),
    },
    async remove() {
      for (const proxy of proxies) {
        proxy.thaw()
        proxy.mend()
      }
    },
  }
}
