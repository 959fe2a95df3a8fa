/** The wire of the processes of kill.test.ts. */
import type { KillWires } from '@quadrille/brokers/wire-kills'
import { redis } from '../src/index.ts'

export const wiresOf: KillWires['wiresOf'] = async ({ options }) => [redis({ url: options as string, lease: '1s' })]
