/** Service Bus against the project's test server, which is emulated: the wire, and the client of Azure by itself. */
import { ServiceBusAdministrationClient, ServiceBusClient } from '@azure/service-bus'
import { serviceBus } from '@quadrille/azure'
import type { WireSystem } from './wire-systems.ts'

/** What the client has in hand at a time. */
const inHandMax = 500
const subscriptionName = 'raw'

/** The administration of the server, over plain HTTP. */
async function subscribed(connectionString: string, topic: string): Promise<void> {
  const client = new ServiceBusAdministrationClient(connectionString)
  const sendRequest: Parameters<typeof client.pipeline.addPolicy>[0]['sendRequest'] = (request, next) => {
    request.url = request.url.replace(/^https:/, 'http:')
    request.allowInsecureConnection = true
    return next(request)
  }
  client.pipeline.addPolicy({ name: 'plain HTTP', sendRequest }, { phase: 'Sign' })
  await client.createTopic(topic)
  await client.createSubscription(topic, subscriptionName, { requiresSession: true })
}

export const servicebusSystem: WireSystem = {
  broker: 'servicebus',
  goal: 0.7,
  wire: async (url, place) => serviceBus({ connectionString: url, topic: place }),
  async rawSender(url, topic) {
    const client = new ServiceBusClient(url)
    const sender = client.createSender(topic)
    return {
      async send(messages) {
        const all = messages.map(({ attributes, body }) => ({
          body: Buffer.from(body),
          messageId: attributes['id']!,
          sessionId: 'raw',
          applicationProperties: { ...attributes },
        }))
        for (let at = 0; at < all.length; at += 100) await sender.sendMessages(all.slice(at, at + 100))
      },
      close: () => client.close(),
    }
  },
  async rawReceiver({ url, topic }, got) {
    await subscribed(url, topic)
    const client = new ServiceBusClient(url)
    // The session is there with its first message: what accepts it waits until then.
    const accepting = (async () => {
      for (;;) {
        try {
          return await client.acceptNextSession(topic, subscriptionName, { skipParsingBodyAsJson: true })
        } catch (error) {
          if ((error as { code?: string }).code !== 'ServiceTimeout') throw error
        }
      }
    })()
    const receiving = accepting.then((session) =>
      session.subscribe(
        { processMessage: async (message) => got(message.body as Uint8Array), processError: async () => {} },
        { maxConcurrentCalls: inHandMax },
      ),
    )
    return {
      async close() {
        await receiving
        await client.close()
      },
    }
  },
}
