/** SQS alone, FIFO and standard, against ElasticMQ with the limits of AWS. */
import { after, before, describe, it } from 'node:test'
import { realBroker, type Broker } from '@quadrille/brokers'
import { testWire } from 'quadrille/conformance'
import { sqs } from '@quadrille/aws'
import { awsHarness, withHooks } from './aws-setup.ts'

const elasticmq = realBroker('elasticmq')

const leftOut = {
  'an event that the broker has survives a kill of the broker':
    'ElasticMQ keeps messages in memory; AWS keeps them on several machines',
  'a new subscription from the beginning gets what was sent before':
    'the services of a type are declared; the cases declare them by receiving, and this is tested by itself',
}

describe('SQS', { skip: elasticmq.skip }, () => {
  let broker: Broker | undefined
  before(async () => void (broker = await elasticmq.start()))
  after(() => broker?.stop())
  const same = withHooks.map((name) => [name, 'runs with FIFO, and nothing in it is different here'])
  for (const fifo of [true, false]) {
    const harness = awsHarness({
      name: `sqs ${fifo ? 'fifo' : 'standard'}`,
      server: () => broker!,
      wire: (options, queues) => sqs({ ...options, fifo, queues }),
      senderMakesQueues: true,
    })
    testWire({ describe, it }, { ...harness, leftOut: { ...leftOut, ...(fifo ? {} : Object.fromEntries(same)) } })
  }
})
