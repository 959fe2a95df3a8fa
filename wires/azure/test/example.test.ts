/** The example of the page in docs/ runs, against the test server. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runDocumentExample } from '@quadrille/brokers/document-example'
import { startServiceBus } from '@quadrille/brokers/service-bus'

test('the example of docs/wires/azure.md', async (t) => {
  const server = await startServiceBus()
  t.after(() => server.kill())
  const env = { SERVICEBUS_CONNECTION_STRING: server.connectionString }
  assert.equal(await runDocumentExample('docs/wires/azure.md', env), 'order 42 is billed\n')
})
