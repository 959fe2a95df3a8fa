/** The brokers that can join the services when each has a ledger of its own: which there are, and how each is used. */
import { service, silentLogger, systemEnv, type AnyService, type Wire } from 'quadrille'
import type { BrokerName } from '@quadrille/brokers'
import {
  InventoryRejected,
  InventoryUpdated,
  OrderCancelled,
  OrderCompleted,
  OrderCreated,
  PaymentProcessed,
  PaymentRefunded,
} from '../contracts.ts'

export const wireNames = ['kafka', 'nats', 'rabbitmq', 'redis', 'sqs', 'servicebus'] as const
export type WireName = (typeof wireNames)[number]

/** A broker that runs, as a process is told of it. */
export interface WireAt {
  readonly name: WireName
  /** The broker's address; for Kafka `host:port`, for Service Bus a connection string. */
  readonly url: string
}

interface Kind {
  /** What is started for a run of our own. */
  readonly broker: BrokerName
  /** False for a broker that keeps nothing on a disk: a kill would lose what it has acknowledged. */
  readonly survivesKill: boolean
  /** Only the client that is used is loaded. */
  open(url: string): Promise<Wire>
}

export const wireKinds: Readonly<Record<WireName, Kind>> = {
  kafka: {
    broker: 'kafka',
    survivesKill: true,
    open: async (url) => (await import('@quadrille/kafka')).kafka({ brokers: url.split(','), sessionMs: 6_000 }),
  },
  nats: {
    broker: 'nats',
    survivesKill: true,
    open: async (url) => (await import('@quadrille/nats')).nats({ servers: url, ackWait: '2s' }),
  },
  rabbitmq: {
    broker: 'rabbitmq',
    survivesKill: true,
    open: async (url) => (await import('@quadrille/rabbitmq')).rabbitmq({ url }),
  },
  redis: {
    broker: 'redis',
    survivesKill: true,
    open: async (url) => (await import('@quadrille/redis')).redis({ url }),
  },
  sqs: {
    // ElasticMQ, which keeps everything in memory. The real SQS keeps it on several machines.
    broker: 'elasticmq',
    survivesKill: false,
    open: async (url) =>
      (await import('@quadrille/aws')).sqs({ queues: hearers, client: localAws(url), visibility: '5s', wait: '1s' }),
  },
  servicebus: {
    // The project's own test server, in memory: Azure itself was not available.
    broker: 'servicebus',
    survivesKill: false,
    open: async (url) => (await import('@quadrille/azure')).serviceBus({ connectionString: url, lock: '5s' }),
  },
}

/**
 * Who hears what. An event that its own service also reacts to is in its ledger already. `page` is no service of the shop:
 * it takes into the ledger of the orders what only the page shows.
 */
const hearers: Readonly<Record<string, readonly string[]>> = {
  [OrderCreated.type]: ['payments', 'inventory'],
  [PaymentProcessed.type]: ['orders'],
  [InventoryUpdated.type]: ['orders'],
  [InventoryRejected.type]: ['orders'],
  [PaymentRefunded.type]: ['page'],
  [OrderCompleted.type]: ['notifications'],
  [OrderCancelled.type]: ['payments', 'inventory'],
}

/** The reaction of the page: that the event is in the ledger is all it is for. */
const page = service('page').on(PaymentRefunded, { name: 'shown' }, () => {})

/** What a process with these services needs besides them when they are joined by a wire. */
export async function overWire(at: WireAt, services: readonly AnyService[]) {
  const all = services.some(({ name }) => name === 'orders') ? [...services, page] : services
  const receives = Object.keys(hearers).filter((type) => all.some(({ name }) => hearers[type]!.includes(name)))
  return { services: all, wires: [{ wire: await wireKinds[at.name].open(at.url), receives }] }
}

/** Rejects with `WIRE_UNREACHABLE` when the broker does not answer, so that it is said before any process is started. */
export async function knockAt(at: WireAt): Promise<void> {
  const wire = await wireKinds[at.name].open(at.url)
  try {
    await wire.open({ env: systemEnv, log: silentLogger, sends: [], notice() {} })
  } finally {
    await wire.close()
  }
}

const localAws = (endpoint: string) => ({
  endpoint,
  region: 'us-east-1',
  credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
})
