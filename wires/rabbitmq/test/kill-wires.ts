/** The wire of the processes of kill.test.ts. */
import type { KillWires } from '@quadrille/brokers/wire-kills'
import { rabbitmq } from '../src/index.ts'

export const wiresOf: KillWires['wiresOf'] = async ({ options }) => [
  rabbitmq({ url: options as string, heartbeat: '1s' }),
]
