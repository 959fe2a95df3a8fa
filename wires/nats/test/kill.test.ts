/** Senders and receivers over NATS, and the server, are killed at random. */
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { killTest } from '@quadrille/brokers/wire-kills'

killTest({ kind: 'nats', wires: new URL('./kill-wires.ts', import.meta.url), look })

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
