/** Senders and receivers over Service Bus are killed at random. The test server stays: what it holds is in memory. */
import { test } from 'node:test'
import { startServiceBus } from '@quadrille/brokers/service-bus'
import { killAtRandom } from '@quadrille/brokers/wire-kills'

test(
  'nothing is lost, doubled or turned round when processes are killed at random, or fall asleep',
  { timeout: 240_000 },
  async (t) => {
    const server = await startServiceBus()
    t.after(() => server.kill())
    const wires = new URL('./kill-wires.ts', import.meta.url)
    await killAtRandom(t, { wires, options: server.connectionString, sleepMs: 5_500 })
  },
)
