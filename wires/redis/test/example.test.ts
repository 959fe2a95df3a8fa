/** The example of the page in docs/ runs, over a real broker. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { realBroker } from '@quadrille/brokers'
import { runDocumentExample } from '@quadrille/brokers/document-example'

const server = realBroker('redis')

test('the example of docs/wires/redis.md', { skip: server.skip }, async () => {
  const broker = await server.start()
  try {
    const printed = await runDocumentExample('docs/wires/redis.md', { REDIS_URL: broker.url })
    assert.equal(printed, 'order 42 is billed\n')
  } finally {
    await broker.stop()
  }
})
