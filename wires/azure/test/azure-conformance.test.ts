/** Azure Service Bus, against a test server that speaks its protocol. */
import { after, before, describe, it } from 'node:test'
import { testWire } from 'quadrille/conformance'
import { azureHarness } from './azure-setup.ts'
import { startServiceBus, type ServiceBusServer } from '@quadrille/brokers/service-bus'

describe('Azure Service Bus', () => {
  let server: ServiceBusServer | undefined
  before(async () => void (server = await startServiceBus()))
  after(() => server?.kill())
  testWire(
    { describe, it },
    azureHarness(() => server!),
  )
})
