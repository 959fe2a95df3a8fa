/** Two versions of a service receive over Kafka at the same time, as during a release; the added type has a topic of its own, or not. */
import { after, before, describe, it } from 'node:test'
import { realBroker, type Broker } from '@quadrille/brokers'
import { releaseLosesNothing, releases } from '@quadrille/brokers/wire-release'
import { kafka } from '../src/index.ts'
import { quick } from './kafka-harness.ts'

const real = realBroker('kafka')

describe('a release loses nothing that only the new version receives', { skip: real.skip, concurrency: false }, () => {
  let broker: Broker
  before(async () => (broker = await real.start({ settings: ['group.min.session.timeout.ms=1000'] })))
  after(() => broker?.stop())

  for (const topics of ['own', 'shared'] as const)
    for (const what of releases)
      it(`${what}; topics: ${topics}`, async (t) => {
        const place = `${topics}.${releases.indexOf(what)}`
        const topic = (type: string) => (topics === 'own' ? `${place}.${type}` : place)
        const wire = () => kafka({ brokers: [broker.url], ...quick, topic, group: (service) => `${place}.${service}` })
        await releaseLosesNothing(t, { wire, what })
      })
})
