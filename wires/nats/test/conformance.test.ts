/** The wire over NATS keeps every promise of the Wire interface, on a real server. */
import { after, before, describe, it } from 'node:test'
import { realBroker, type Broker } from '@quadrille/brokers'
import { testWire } from 'quadrille/conformance'
import { natsHarness } from './nats-harness.ts'

const server = realBroker('nats')

describe('on a real server', { skip: server.skip }, () => {
  let broker: Broker
  before(async () => (broker = await server.start()))
  after(() => broker.stop())

  testWire(
    { describe, it },
    natsHarness(() => broker),
  )
})
