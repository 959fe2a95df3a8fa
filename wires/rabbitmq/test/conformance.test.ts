/** The wire over RabbitMQ keeps every promise of the Wire interface, on a real broker. */
import { after, before, describe, it } from 'node:test'
import { realBroker, type Broker } from '@quadrille/brokers'
import { testWire } from 'quadrille/conformance'
import { rabbitHarness } from './rabbit-harness.ts'

const server = realBroker('rabbitmq')

describe('on a real broker', { skip: server.skip }, () => {
  let broker: Broker
  before(async () => (broker = await server.start()))
  after(() => broker.stop())

  testWire(
    { describe, it },
    rabbitHarness(() => broker),
  )
})
