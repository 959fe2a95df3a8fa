/** Two versions of a service receive over Redis at the same time, as during a release. */
import { test } from 'node:test'
import { realBroker } from '@quadrille/brokers'
import { releaseLosesNothing, releases } from '@quadrille/brokers/wire-release'
import { redisPlace } from './redis-harness.ts'

const server = realBroker('redis')
const limit = { timeout: 240_000, skip: server.skip }

for (const what of releases)
  test(`a release loses nothing that only the new version receives; ${what}`, limit, async (t) => {
    const broker = await server.borrow()
    const place = await redisPlace(broker)
    t.after(async () => {
      await place.remove()
      await broker.stop()
    })
    await releaseLosesNothing(t, { wire: () => place.connect(), what })
  })
