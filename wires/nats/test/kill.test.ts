/** Senders and receivers over NATS, and the server, are killed at random. */
import { test } from 'node:test'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { realBroker } from '@quadrille/brokers'
import { killAtRandom } from '@quadrille/brokers/wire-kills'

const server = realBroker('nats')
const limit = { timeout: 240_000, skip: server.skip }

test(
  'nothing is lost, doubled or turned round when processes and the server are killed at random, or fall asleep',
  limit,
  async (t) => {
    const broker = await server.start()
    t.after(() => broker.stop())
    const wires = new URL('./kill-wires.ts', import.meta.url)
    await killAtRandom(t, { wires, options: broker.url, broker, look: () => look(broker.url) })
  },
)

async function look(servers: string): Promise<unknown> {
  const connection = await connect({ servers })
  try {
    const manager = await jetstreamManager(connection)
    const { state } = await manager.streams.info('KILL')
    return { state, consumers: await manager.consumers.list('KILL').next() }
  } finally {
    await connection.close()
  }
}
