/** The wire of the processes of kill.test.ts. */
import type { KillWires } from '@quadrille/brokers/wire-kills'
import { nats } from '../src/index.ts'

export const wiresOf: KillWires['wiresOf'] = async ({ options }) => [
  nats({ servers: options as string, stream: 'KILL', prefix: 'kill', ackWait: '1s' }),
]
