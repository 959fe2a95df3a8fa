/** The example of docs/bridging.md: one event to a webhook and to SNS, a foreign queue, and an event of another system. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { GetQueueAttributesCommand, SendMessageCommand } from '@aws-sdk/client-sqs'
import { freePort } from '@quadrille/brokers'
import { runDocumentExample } from '@quadrille/brokers/document-example'
import { until } from '@quadrille/brokers/wire-load'
import { event, service, silentLogger, start } from 'quadrille'
import * as z from 'zod'
import { sns } from '@quadrille/aws'
import { clientFor, queueUrl, sqsClient } from './aws-setup.ts'
import { startFauxqs } from './fauxqs-server.ts'

const Shipped = event('order.shipped', { key: 'orderId', schema: z.object({ orderId: z.string() }) })

test('the example of docs/bridging.md', async (t) => {
  const aws = await startFauxqs()
  t.after(() => aws.stop())
  const direct = sqsClient(aws.port)
  t.after(() => direct.destroy())

  const posted: string[] = []
  const partner = createServer((request, response) => {
    void text(request).then((body) => {
      posted.push((JSON.parse(body) as { type: string; data: { orderId: string } }).data.orderId)
      response.writeHead(202).end()
    })
  }).listen(0, '127.0.0.1')
  t.after(() => partner.closeAllConnections())
  t.after(() => partner.close())
  const heard: string[] = []
  const watcher = service('watcher').on(Shipped, ({ orderId }) => void heard.push(orderId))
  const wire = sns({ client: clientFor(aws.port), wait: '1s' })
  const watching = await start({ services: [watcher], wires: [wire], log: silentLogger })
  t.after(() => watching.stop())

  const port = await freePort()
  const printed = runDocumentExample('docs/bridging.md', {
    PORT: String(port),
    PARTNER_URL: `http://127.0.0.1:${(partner.address() as AddressInfo).port}/`,
    AWS_ENDPOINT_URL: `http://127.0.0.1:${aws.port}`,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'x',
    AWS_SECRET_ACCESS_KEY: 'x',
  })
  printed.catch(() => {})

  const queue = () => queueUrl(direct, 'legacy-shipping.fifo')
  await Promise.race([printed, until(() => queue().then(Boolean, () => false), 'the queue is there')])
  const QueueUrl = await queue()
  const paid = { MessageBody: '{"ref":"42","amount":"19.99"}', MessageGroupId: '42', MessageDeduplicationId: 'a' }
  await direct.send(new SendMessageCommand({ QueueUrl, ...paid }))
  const counts = ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'] as const
  await until(async () => {
    const input = { QueueUrl, AttributeNames: [...counts] }
    const { Attributes } = await direct.send(new GetQueueAttributesCommand(input))
    return counts.every((name) => Attributes?.[name] === '0')
  }, 'what the old system has said is in the ledger')

  const parcel = {
    specversion: '1.0',
    id: 'p-1',
    source: 'https://parcels.example.com',
    type: 'com.example.parcel.sent',
  }
  const body = JSON.stringify({ ...parcel, data: { order: '42', weight: 'which nobody here reads' } })
  const headers = { 'content-type': 'application/cloudevents+json' }
  const post = () => fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers, body })
  await until(
    () =>
      post().then(
        ({ status }) => status === 202,
        () => false,
      ),
    'the parcel is taken',
  )

  assert.equal(await printed, 'order 42 is paid: 1999 cents\n')
  assert.deepEqual(posted, ['42'])
  await until(() => heard.length > 0, 'it has come over SNS')
  assert.deepEqual(heard, ['42'])
})
