/** The conformance cases on a real broker: each case has an exchange of its own, each wire a proxy of its own. */
import { connect, type Channel } from 'amqplib'
import type { Broker } from '@quadrille/brokers'
import { sleep, systemEnv, type Wire } from 'quadrille'
import { tcpProxy, type TcpProxy, type WireHarness, type WirePlace } from 'quadrille/conformance'
import { rabbitmq, type RabbitOptions } from '../src/index.ts'

const wiresMax = 8

/**
 * RabbitMQ 3.10 forgets a quorum queue that was declared in the last moments before a kill, or never finds a leader for it,
 * for good. When it is safe it does not tell.
 */
export const queuesSettle = (): Promise<void> => sleep(systemEnv, 1_500)

/** A place at a running broker, for conformance cases and our own. */
export async function rabbitPlace(broker: Broker, options: Partial<RabbitOptions> = {}) {
  const exchange = `case-${systemEnv.uuid().slice(-10)}`
  const proxies = await Promise.all(Array.from({ length: wiresMax }, () => tcpProxy({ port: broker.port })))
  const used = new Map<Wire, TcpProxy>()
  const services = new Set<string>()
  const place = {
    exchange,
    proxyOf: (wire: Wire) => used.get(wire)!,
    connect(more: Partial<RabbitOptions> = {}): Wire {
      const proxy = proxies[used.size]!
      const url = `amqp://guest:guest@127.0.0.1:${proxy.port}`
      const wire = rabbitmq({ url, exchange, heartbeat: '1s', timeout: '3s', ...options, ...more })
      const receive = wire.receive.bind(wire)
      wire.receive = (subscription, deliver) => {
        services.add(subscription.service)
        return receive(subscription, deliver)
      }
      used.set(wire, proxy)
      return wire
    },
    /** Works at the broker, past any wire. */
    async admin<T>(work: (channel: Channel) => Promise<T>): Promise<T> {
      const connection = await connect(broker.url)
      connection.on('error', () => {})
      try {
        const channel = await connection.createConfirmChannel()
        const result = await work(channel)
        await channel.waitForConfirms()
        return result
      } finally {
        await connection.close()
      }
    },
    async remove(): Promise<void> {
      for (const proxy of proxies) await proxy.close()
      await place.admin(async (channel) => {
        for (const service of [...services, 'dead']) await channel.deleteQueue(`${exchange}.${service}`)
        for (const service of services) await channel.deleteExchange(`${exchange}.known.${service}`)
        for (const name of [exchange, `${exchange}.dead`]) await channel.deleteExchange(name)
      })
    },
  }
  return place
}

/** Everything that the suite can ask of RabbitMQ. */
export function rabbitHarness(broker: () => Broker): WireHarness {
  return {
    name: 'rabbitmq',
    capabilities: rabbitmq({ url: 'amqp://localhost' }).capabilities,
    cannot: { outstanding: 'AMQP does not tell it; the prefetch count bounds it' },
    patienceMs: 60_000,
    create: async () => conformancePlace(broker()),
  }
}

async function conformancePlace(broker: Broker): Promise<WirePlace> {
  const place = await rabbitPlace(broker)
  const deleteQueue = ({ service }: { readonly service: string }) =>
    place.admin(async (channel) => {
      await channel.deleteQueue(`${place.exchange}.${service}`)
    })
  return {
    connect: () => place.connect(),
    env: systemEnv,
    hooks: {
      inject: ({ type, body }) =>
        place.admin(async (channel) => {
          channel.publish(place.exchange, type, Buffer.from(body))
        }),
      crash: (wire) => place.proxyOf(wire).close(),
      async freeze(wire) {
        place.proxyOf(wire).freeze()
        return async () => place.proxyOf(wire).thaw()
      },
      async killBroker() {
        await queuesSettle()
        await broker.kill()
        return () => broker.restart()
      },
      removeSubscription: deleteQueue,
      dropUnread: deleteQueue,
      forget: ({ service }) =>
        place.admin(async (channel) => {
          for (const name of [service, 'dead']) await channel.deleteQueue(`${place.exchange}.${name}`)
          await channel.deleteExchange(`${place.exchange}.known.${service}`)
        }),
    },
    remove: () => place.remove(),
  }
}
