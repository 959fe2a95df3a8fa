/** The wire of the processes of kill.test.ts. */
import type { KillWires } from '@quadrille/brokers/wire-kills'
import { kafka } from '../src/index.ts'
import { quick } from './kafka-harness.ts'

export const wiresOf: KillWires['wiresOf'] = async ({ options }) => [kafka({ brokers: [options as string], ...quick })]
