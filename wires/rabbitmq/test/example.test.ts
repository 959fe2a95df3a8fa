/** The example of the page in docs/ runs, over a real broker. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { realBroker } from '@quadrille/brokers'
import { runDocumentExample } from '@quadrille/brokers/document-example'

const server = realBroker('rabbitmq')

test('the example of docs/wires/rabbitmq.md', { skip: server.skip }, async () => {
  const broker = await server.start()
  try {
    const printed = await runDocumentExample('docs/wires/rabbitmq.md', { RABBITMQ_URL: broker.url })
    assert.equal(printed, 'order 42 is billed\n')
  } finally {
    await broker.stop()
  }
})
