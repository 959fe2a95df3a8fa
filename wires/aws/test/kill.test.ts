/** Senders and receivers over FIFO queues are killed at random. ElasticMQ stays: what it holds is in memory. */
import { test } from 'node:test'
import { realBroker } from '@quadrille/brokers'
import { killAtRandom } from '@quadrille/brokers/wire-kills'

const elasticmq = realBroker('elasticmq')
const limit = { timeout: 240_000, skip: elasticmq.skip }

test(
  'nothing is lost, doubled or turned round when processes are killed at random, or fall asleep',
  limit,
  async (t) => {
    const broker = await elasticmq.start()
    t.after(() => broker.stop())
    const wires = new URL('./kill-wires.ts', import.meta.url)
    await killAtRandom(t, { wires, options: broker.port, sleepMs: 3_500 })
  },
)
