/** Senders and receivers over Kafka, and the broker, are killed at random. */
import { test } from 'node:test'
import { realBroker } from '@quadrille/brokers'
import { killAtRandom } from '@quadrille/brokers/wire-kills'

const kafka = realBroker('kafka')
const limit = { timeout: 240_000, skip: kafka.skip }

test(
  'nothing is lost, doubled or turned round when processes and the broker are killed at random, or fall asleep',
  limit,
  async (t) => {
    const broker = await kafka.start({ settings: ['group.min.session.timeout.ms=1000'] })
    t.after(() => broker.stop())
    const wires = new URL('./kill-wires.ts', import.meta.url)
    await killAtRandom(t, { wires, options: broker.url, broker })
  },
)
