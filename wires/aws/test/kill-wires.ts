/** The wire of the processes of kill.test.ts. */
import type { KillWires } from '@quadrille/brokers/wire-kills'
import { sqs } from '@quadrille/aws'
import { clientFor } from './aws-setup.ts'

export const wiresOf: KillWires['wiresOf'] = async ({ options }) => [
  sqs({ queues: { counted: ['listener'] }, client: clientFor(options as number), visibility: '3s', wait: '1s' }),
]
