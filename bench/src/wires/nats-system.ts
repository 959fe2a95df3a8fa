/** NATS JetStream: the wire, and the official client by itself. */
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, headers } from '@nats-io/transport-node'
import { nats } from '@quadrille/nats'
import type { WireSystem } from './wire-systems.ts'

/** Unacknowledged publishes at a time. */
const inFlight = 256

export const natsSystem: WireSystem = {
  broker: 'nats',
  goal: 0.7,
  wire: async (url, place) => nats({ servers: url, stream: place, prefix: place }),
  async rawSender(url, topic) {
    const connection = await connect({ servers: url })
    const client = jetstream(connection)
    return {
      async send(messages) {
        for (let at = 0; at < messages.length; at += inFlight)
          await Promise.all(
            messages.slice(at, at + inFlight).map(({ attributes, body }) => {
              const all = headers()
              for (const [name, text] of Object.entries(attributes)) all.set(`ce-${name}`, text)
              return client.publish(topic, body, { headers: all, msgID: attributes['id']! })
            }),
          )
      },
      close: () => connection.drain(),
    }
  },
  async rawReceiver({ url, topic }, got) {
    const connection = await connect({ servers: url })
    const manager = await jetstreamManager(connection)
    const stream = topic.replaceAll('.', '_')
    await manager.streams.add({ name: stream, subjects: [topic] })
    await manager.consumers.add(stream, { durable_name: 'raw', ack_policy: AckPolicy.Explicit, max_ack_pending: 512 })
    const consumer = await jetstream(connection).consumers.get(stream, 'raw')
    const messages = await consumer.consume({ max_messages: 512 })
    void (async () => {
      for await (const message of messages) {
        got(message.data)
        message.ack()
      }
    })()
    return {
      async close() {
        await messages.close()
        await connection.close()
      },
    }
  },
}
