/** Two versions of a service receive over Service Bus (our test server) at the same time, as during a release. */
import { test } from 'node:test'
import { serviceBus } from '@quadrille/azure'
import { startServiceBus } from '@quadrille/brokers/service-bus'
import { releaseLosesNothing, releases } from '@quadrille/brokers/wire-release'

for (const what of releases)
  test(`a release loses nothing that only the new version receives; ${what}`, { timeout: 240_000 }, async (t) => {
    const server = await startServiceBus()
    t.after(() => server.kill())
    await releaseLosesNothing(t, { wire: () => serviceBus({ connectionString: server.connectionString }), what })
  })
