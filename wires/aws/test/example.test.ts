/** The examples of the pages in docs/ run, against ElasticMQ and fauxqs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { realBroker } from '@quadrille/brokers'
import { runDocumentExample } from '@quadrille/brokers/document-example'

const elasticmq = realBroker('elasticmq')
const awsAt = (url: string) => ({
  AWS_ENDPOINT_URL: url,
  AWS_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'x',
  AWS_SECRET_ACCESS_KEY: 'x',
})

test('the example of docs/wires/aws.md', { skip: elasticmq.skip }, async (t) => {
  const broker = await elasticmq.start()
  t.after(() => broker.stop())
  const printed = await runDocumentExample('docs/wires/aws.md', awsAt(broker.url))
  assert.equal(printed, 'order 42 is billed\n')
})

test('the example of Lambda in docs/serverless.md', { skip: elasticmq.skip }, async (t) => {
  const broker = await elasticmq.start()
  t.after(() => broker.stop())
  const printed = await runDocumentExample('docs/serverless.md', awsAt(broker.url))
  assert.equal(printed, 'order 42 is paid\n{ batchItemFailures: [] }\n')
})
