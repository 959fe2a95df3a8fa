/** Kafka: the wire, and @platformatic/kafka by itself. */
import { Admin, Consumer, Producer } from '@platformatic/kafka'
import { kafka } from '@quadrille/kafka'
import type { WireSystem } from './wire-systems.ts'

const topics = { partitions: 4 }

export const kafkaSystem: WireSystem = {
  broker: 'kafka',
  goal: 0.6,
  wire: async (url) => kafka({ brokers: [url], topics }),
  async rawSender(url, topic) {
    const producer = new Producer({ clientId: 'raw', bootstrapBrokers: [url], idempotent: true })
    return {
      async send(messages) {
        await producer.send({
          acks: -1,
          messages: messages.map(({ key, attributes, body }) => ({
            topic,
            key: Buffer.from(key),
            value: Buffer.from(body),
            headers: new Map(
              Object.entries(attributes).map(([name, text]) => [Buffer.from(`ce_${name}`), Buffer.from(text)]),
            ),
          })),
        })
      },
      close: () => producer.close(),
    }
  },
  async rawReceiver({ url, topic }, got) {
    const admin = new Admin({ clientId: 'raw', bootstrapBrokers: [url] })
    await admin.createTopics({ topics: [topic], partitions: topics.partitions, replicas: 1 })
    await admin.close()
    const consumer = new Consumer({ clientId: 'raw', groupId: topic, bootstrapBrokers: [url] })
    const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: 100 })
    stream.on('data', ({ value }) => got(value))
    return { close: () => consumer.close(true) }
  },
}
