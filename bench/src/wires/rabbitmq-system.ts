/** RabbitMQ: the wire, and amqplib by itself. */
import { once } from 'node:events'
import { connect } from 'amqplib'
import { rabbitmq } from '@quadrille/rabbitmq'
import type { WireSystem } from './wire-systems.ts'

/** As many unacknowledged messages as the wire holds. */
const held = 512
const queue = { durable: true, arguments: { 'x-queue-type': 'quorum' } }

export const rabbitmqSystem: WireSystem = {
  broker: 'rabbitmq',
  goal: 0.7,
  wire: async (url, place) => rabbitmq({ url, exchange: place }),
  async rawSender(url, topic) {
    const connection = await connect(url)
    const channel = await connection.createConfirmChannel()
    return {
      async send(messages) {
        for (const { attributes, body } of messages) {
          const headers = Object.fromEntries(
            Object.entries(attributes).map(([name, text]) => [`cloudEvents_${name}`, text]),
          )
          if (!channel.publish('', topic, Buffer.from(body), { persistent: true, headers }))
            await once(channel, 'drain')
        }
        await channel.waitForConfirms()
      },
      close: () => connection.close(),
    }
  },
  async rawReceiver({ url, topic }, got) {
    const connection = await connect(url)
    const channel = await connection.createChannel()
    await channel.assertQueue(topic, queue)
    await channel.prefetch(held)
    await channel.consume(topic, (message) => {
      if (message === null) return
      got(message.content)
      channel.ack(message)
    })
    return { close: () => connection.close() }
  },
}
