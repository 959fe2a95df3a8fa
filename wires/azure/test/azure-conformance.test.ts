/** Azure Service Bus, against a test server that speaks its protocol. */
import { after, before, describe, it } from 'node:test'
import { testWire } from 'quadrille/conformance'
import { azureHarness } from './azure-setup.ts'
import { startServiceBus, type ServiceBusServer } from './service-bus/server.ts'

/** For the report to get out. */
const exitAfterMs = 2_000

describe('Azure Service Bus', () => {
  let server: ServiceBusServer | undefined
  before(async () => void (server = await startServiceBus()))
  after(() => server?.kill())
  // Cases that cut connections leave links which the SDK still tries to open; its timers would keep the process for minutes.
  after(() => void setTimeout(() => process.exit(), exitAfterMs).unref())
  testWire(
    { describe, it },
    azureHarness(() => server!),
  )
})
