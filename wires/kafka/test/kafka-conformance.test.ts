/** The conformance cases of wires on a real Kafka. */
import { after, before, describe, it } from 'node:test'
import { testWire } from 'quadrille/conformance'
import { realBroker } from '@quadrille/brokers'
import { kafkaHarness, lanedBroker, type LanedBroker } from './kafka-harness.ts'

describe('on a real Kafka', { skip: realBroker('kafka').skip }, () => {
  let laned: LanedBroker | undefined
  before(async () => {
    laned = await lanedBroker()
  })
  after(() => laned?.stop())
  testWire(
    { describe, it },
    kafkaHarness(() => laned!),
  )
})
