/** Senders and receivers over FIFO queues are killed at random. ElasticMQ stays: what it holds is in memory. */
import { test } from 'node:test'
import { realBroker } from '@quadrille/brokers'
import { killAtRandom } from '@quadrille/brokers/wire-kills'

const elasticmq = realBroker('elasticmq')
const limit = { timeout: 240_000, skip: elasticmq.skip }

test('nothing is lost, doubled or turned round when processes are killed at random', limit, async (t) => {
  const broker = await elasticmq.start()
  t.after(() => broker.stop())
  await killAtRandom(t, { wires: new URL('./kill-wires.ts', import.meta.url), options: broker.port })
})
