/** Senders and receivers over RabbitMQ, and the server, are killed at random. */
import { test } from 'node:test'
import { realBroker } from '@quadrille/brokers'
import { killAtRandom } from '@quadrille/brokers/wire-kills'

const server = realBroker('rabbitmq')
const limit = { timeout: 240_000, skip: server.skip }

test(
  'nothing is lost, doubled or turned round when processes and the server are killed at random, or fall asleep',
  limit,
  async (t) => {
    const broker = await server.start()
    t.after(() => broker.stop())
    const wires = new URL('./kill-wires.ts', import.meta.url)
    await killAtRandom(t, { wires, options: broker.url, broker })
  },
)
