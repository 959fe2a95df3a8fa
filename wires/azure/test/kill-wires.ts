/** The wire of the processes of kill.test.ts. */
import type { KillWires } from '@quadrille/brokers/wire-kills'
import { serviceBus } from '@quadrille/azure'

export const wiresOf: KillWires['wiresOf'] = async ({ options }) => [
  serviceBus({ connectionString: options as string, lock: '5s', timeout: '2s' }),
]
