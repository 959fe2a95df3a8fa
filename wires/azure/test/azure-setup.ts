/** What the tests of the Azure wire share: options for the test server, and places for the conformance cases. */
import { tcpProxy, type TcpProxy } from '@quadrille/brokers'
import { systemEnv, type Wire } from 'quadrille'
import type { WireHarness } from 'quadrille/conformance'
import { checkedOptions } from '../src/azure-options.ts'
import { administrationOf } from '../src/azure-topology.ts'
import { serviceBus, type AzureWire, type ServiceBusOptions } from '@quadrille/azure'
import { connectionStringFor, type ServiceBusServer } from '@quadrille/brokers/service-bus'

/** A wire to the test server, over a port of its own when there is a proxy. */
export function wireTo(
  server: ServiceBusServer,
  options: Partial<ServiceBusOptions> = {},
  port = server.port,
): AzureWire {
  return serviceBus({
    connectionString: connectionStringFor(port),
    administration: administrationOf(checkedOptions({ connectionString: server.connectionString })),
    lock: '5s',
    timeout: '3s',
    stalled: '4s',
    ...options,
  })
}

/** Fields of the data that the cases filter by. */
const fields = ['status', 'card.kind', 'paid', 'tries']

export function azureHarness(server: () => ServiceBusServer): WireHarness {
  return {
    name: 'azure service bus',
    capabilities: serviceBus({ connectionString: connectionStringFor(1), fields }).capabilities,
    cannot: { dropUnread: 'Service Bus puts what is too old into its dead-letter queue, which health() tells' },
    patienceMs: 20_000,
    async create() {
      const topic = `t${systemEnv.uuid().slice(-8)}`
      const proxies = new Map<Wire, Promise<TcpProxy>>()
      const made: Promise<TcpProxy>[] = []
      const subscription = (service: string) => server().topics.get(topic)!.subscriptions.get(service)!
      // The port must be known before the wire is made.
      const spare: TcpProxy[] = []
      for (let count = 0; count < 8; count++) spare.push(await tcpProxy(server().port))
      return {
        env: systemEnv,
        connect() {
          const proxy = spare.pop()!
          made.push(Promise.resolve(proxy))
          const wire = wireTo(server(), { topic, fields }, proxy.port)
          proxies.set(wire, Promise.resolve(proxy))
          return wire
        },
        hooks: {
          async inject({ type, body }) {
            const content = { typecode: 0x75, content: Buffer.from(body) }
            server()
              .topics.get(topic)!
              .send({ subject: type, group_id: 'keys-0', body: content } as never)
          },
          crash: async (wire) => (await proxies.get(wire)!).cut(),
          async freeze(wire) {
            const proxy = await proxies.get(wire)!
            proxy.freeze()
            return async () => proxy.thaw()
          },
          async killBroker() {
            await server().kill()
            return () => server().restart()
          },
          async removeSubscription({ service }) {
            subscription(service).drop()
            server().topics.get(topic)!.subscriptions.delete(service)
          },
          async forget({ service }) {
            const { connectionString } = server()
            const administration = administrationOf(checkedOptions({ connectionString }))
            await administration.deleteSubscription(topic, service)
            await administration.deleteTopic(topic)
          },
          outstanding: async ({ service }) => subscription(service).outstanding,
        },
        async remove() {
          server().topics.delete(topic)
          for (const proxy of [...spare, ...(await Promise.all(made))]) await proxy.close()
        },
      }
    },
  }
}
