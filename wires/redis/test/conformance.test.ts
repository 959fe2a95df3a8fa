/** The wire over Redis keeps every promise of the Wire interface, on a real server. */
import { after, before, describe, it } from 'node:test'
import { realBroker, type Broker } from '@quadrille/brokers'
import { testWire } from 'quadrille/conformance'
import { redisHarness } from './redis-harness.ts'

const server = realBroker('redis')

describe('on a real server', { skip: server.skip }, () => {
  let broker: Broker
  before(async () => (broker = await server.start()))
  after(() => broker.stop())

  testWire(
    { describe, it },
    redisHarness(() => broker),
  )
})
