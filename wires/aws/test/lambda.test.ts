/** Lambda: events as AWS hands them over, into a ledger on disk that outlives every invocation. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Context, SNSEvent, SQSEvent } from 'aws-lambda'
import { cloudEventText, event, service, start, type App, type EventRecord } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import * as z from 'zod'
import { sns, snsHandler, sqsHandler, tickHandler } from '@quadrille/aws'
import { clientFor, contextOf as wireContext, snsClient, topicArn, unsubscribeAll } from './aws-setup.ts'
import { startFauxqs, type Fauxqs } from './fauxqs-server.ts'

const Created = event('order.created', { key: 'orderId', schema: z.object({ orderId: z.string() }) })
const account = 'arn:aws:sqs:eu-central-1:123456789012'

const recordOf = (orderId: string, id = `e-${orderId}`): EventRecord => ({
  id,
  type: 'order.created',
  version: 1,
  source: 'orders',
  key: orderId,
  correlationId: id,
  causationId: null,
  reaction: null,
  hops: 0,
  time: Date.UTC(2026, 10, 26),
  traceparent: null,
  tracestate: null,
  data: JSON.stringify({ orderId }),
  extensions: null,
  position: 1,
})

/** An event of SQS in the shape that Lambda gets it. */
const sqsEvent = (queue: string, bodies: readonly string[]): SQSEvent => ({
  Records: bodies.map((body, index) => ({
    messageId: `message-${index}`,
    receiptHandle: 'AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a',
    body,
    attributes: {
      ApproximateReceiveCount: '1',
      SentTimestamp: '1795651200000',
      SenderId: 'AIDAIENQZJOLO23YVJ4VO',
      ApproximateFirstReceiveTimestamp: '1795651200001',
      MessageGroupId: 'o-1',
      SequenceNumber: '18849496460467696128',
    },
    messageAttributes: {
      ce_type: { stringValue: 'order.created', stringListValues: [], binaryListValues: [], dataType: 'String' },
    },
    md5OfBody: 'e4e68fb7bd0e697a0ae8f1bb342846b3',
    eventSource: 'aws:sqs',
    eventSourceARN: `${account}:${queue}`,
    awsRegion: 'eu-central-1',
  })),
})

const snsEvent = (topic: string, message: string): SNSEvent => ({
  Records: [
    {
      EventSource: 'aws:sns',
      EventVersion: '1.0',
      EventSubscriptionArn: `arn:aws:sns:eu-central-1:123456789012:${topic}:2bcfbf39`,
      Sns: {
        Type: 'Notification',
        MessageId: '95df01b4-ee98-5cb9-9903-4c221d41eb5e',
        TopicArn: `arn:aws:sns:eu-central-1:123456789012:${topic}`,
        Subject: '',
        Message: message,
        Timestamp: '2026-11-26T12:00:00.000Z',
        SignatureVersion: '1',
        Signature: 'EXAMPLE',
        SigningCertUrl: 'EXAMPLE',
        UnsubscribeUrl: 'EXAMPLE',
        MessageAttributes: { ce_type: { Type: 'String', Value: 'order.created' } },
      },
    },
  ],
})

/** A context with so much time left, counted from now. */
function contextOf(leftMs = 30_000): Context {
  const endsMs = performance.now() + leftMs
  return { getRemainingTimeInMillis: () => endsMs - performance.now() } as Context
}

describe('Lambda', () => {
  let server: Fauxqs
  let folder: string
  before(async () => {
    server = await startFauxqs()
    folder = mkdtempSync(join(tmpdir(), 'quadrille-lambda-'))
  })
  after(async () => {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  let count = 0
  function opened(handle: (orderId: string, signal: AbortSignal) => void | Promise<void>) {
    count += 1
    const prefix = `l${count}-`
    const path = join(folder, `${count}.db`)
    const wire = sns({ prefix, client: clientFor(server.port), receiveBy: 'lambda', timeout: '4s' })
    const payments = service('payments').on(
      Created,
      { call: ({ orderId }, { signal }) => handle(orderId, signal) },
      () => {},
    )
    const apps: App[] = []
    const begin = async () => {
      const app = await start({
        services: [payments],
        ledger: sqlite(path),
        wires: [{ wire, from: 'now' }],
        log: quiet,
      })
      apps.push(app)
      return app
    }
    return { wire, prefix, start: begin, apps, queue: `${prefix}payments.fifo`, topic: `${prefix}order-created.fifo` }
  }
  const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

  it('handles the messages of a queue before it answers, once, and stops', async () => {
    const handled: string[] = []
    const { wire, start: begin, apps, queue } = opened((orderId) => void handled.push(orderId))
    const handler = sqsHandler({ wire, start: begin })
    const bodies = ['o-1', 'o-2', 'o-1'].map((orderId) => cloudEventText(recordOf(orderId)))
    assert.deepEqual(await handler(sqsEvent(queue, bodies), contextOf()), { batchItemFailures: [] })
    assert.deepEqual(handled.toSorted(), ['o-1', 'o-2'])
    assert.deepEqual(await handler(sqsEvent(queue, bodies), contextOf()), { batchItemFailures: [] })
    assert.deepEqual(handled.toSorted(), ['o-1', 'o-2'])
    assert.equal(apps.length, 2)
    await assert.rejects(apps[0]!.quiet(), /APP_STOPPED/)
  })

  it('names the messages of a queue that no service here receives from', async () => {
    const { wire, start: begin } = opened(() => {})
    const mixed = sqsEvent('another.fifo', ['{}', '{}'])
    const answer = await sqsHandler({ wire, start: begin })(mixed, contextOf())
    assert.deepEqual(
      answer.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier),
      ['message-0', 'message-1'],
    )
  })

  it('keeps what is no event as a dead letter, and does not ask for it again', async () => {
    const { wire, start: begin, queue } = opened(() => {})
    const answer = await sqsHandler({ wire, start: begin })(sqsEvent(queue, ['nonsense']), contextOf())
    assert.deepEqual(answer.batchItemFailures, [])
    const app = await begin()
    const [letter] = await app.deadLetters.list()
    assert.equal(new TextDecoder().decode(letter!.bytes), 'nonsense')
    await app.stop()
  })

  it('ends before its time is up, and the next invocation goes on', async () => {
    const handled: string[] = []
    let slow = true
    const {
      wire,
      start: begin,
      queue,
    } = opened(async (orderId, signal) => {
      if (slow) await new Promise((_, failed) => signal.addEventListener('abort', failed))
      handled.push(orderId)
    })
    const began = performance.now()
    const answer = await sqsHandler({ wire, start: begin })(
      sqsEvent(queue, [cloudEventText(recordOf('o-1'))]),
      contextOf(5_000),
    )
    assert.equal(performance.now() - began < 6_000, true)
    assert.deepEqual(answer.batchItemFailures, [])
    assert.deepEqual(handled, [])
    slow = false
    await tickHandler({ start: begin })({}, contextOf())
    assert.deepEqual(handled, ['o-1'])
  })

  it('handles what a topic pushes, and throws where nobody receives it', async () => {
    const handled: string[] = []
    const { wire, start: begin, topic } = opened((orderId) => void handled.push(orderId))
    const handler = snsHandler({ wire, start: begin })
    await handler(snsEvent(topic, cloudEventText(recordOf('o-9'))), contextOf())
    assert.deepEqual(handled, ['o-9'])
    await assert.rejects(handler(snsEvent('another', '{}'), contextOf()), /WIRE_CANNOT/)
  })

  it('says at the next invocation that somebody has removed the subscription of its queue', async () => {
    const { topic, start: begin } = opened(() => {})
    const tick = tickHandler({ start: begin })
    await tick({}, contextOf())
    const client = snsClient(server.port)
    await unsubscribeAll(client, await topicArn(client, topic))
    client.destroy()
    await assert.rejects(tick({}, contextOf()), /WIRE_POSITION_LOST.*the subscription of payments/)
  })

  it('says clearly when another trigger, or somebody by hand, has invoked it', async () => {
    const { wire, start: begin, topic } = opened(() => {})
    const onSqs = sqsHandler({ wire, start: begin })
    const onSns = snsHandler({ wire, start: begin })
    const body = cloudEventText(recordOf('o-1'))
    for (const wrong of [undefined, null, {}, { Records: 'x' }, { key: 'value' }, snsEvent(topic, body)])
      await assert.rejects(onSqs(wrong as never, contextOf()), /sqsHandler was invoked with what is no event of SQS/)
    for (const wrong of [undefined, {}, sqsEvent('q', [body])])
      await assert.rejects(onSns(wrong as never, contextOf()), /snsHandler was invoked with what is no event of SNS/)
  })

  it('takes messages after the app has renewed its subscription', async (t) => {
    const { wire, queue, topic } = opened(() => {})
    await wire.open(wireContext())
    t.after(() => wire.close())
    const subscription = {
      service: 'payments',
      types: [{ type: 'order.created', patterns: null }],
      instance: 'i',
    } as const
    const taken: string[] = []
    const receive = (name: string) =>
      wire.receive({ ...subscription, from: 'now' }, async (messages) => void taken.push(...messages.map(() => name)))
    await (await receive('first')).stop()
    await receive('second')
    await wire.deliverFromQueue(`${account}:${queue}`, [{ body: '{}' }])
    await wire.deliverFromTopic(`${account}:${topic}`, [{ body: '{}' }])
    assert.deepEqual(taken, ['second', 'second'])
  })

  it('sends what the reactions emit before it ends', async (t) => {
    const Paid = event('payment.processed', { key: 'orderId', schema: z.object({ orderId: z.string() }) })
    const payments = service('payments').on(Created, { emits: [Paid] }, ({ orderId }) => Paid({ orderId }))
    const client = clientFor(server.port)
    const shared = { prefix: 'both-', client, timeout: '4s' } as const
    const seen: string[] = []
    const orders = service('orders').on(Paid, ({ orderId }) => void seen.push(orderId))
    const other = sns({ ...shared, wait: '1s' })
    const receiving = await start({
      services: [orders],
      ledger: sqlite(join(folder, 'orders.db')),
      wires: [{ wire: other, from: 'now' }],
    })
    t.after(() => receiving.stop())
    const wire = sns({ ...shared, receiveBy: 'lambda' })
    const begin = () =>
      start({ services: [payments], ledger: sqlite(join(folder, 'payments.db')), wires: [{ wire, from: 'now' }] })
    await sqsHandler({ wire, start: begin })(
      sqsEvent('both-payments.fifo', [cloudEventText(recordOf('o-5'))]),
      contextOf(),
    )
    while (seen.length === 0) await new Promise((done) => setTimeout(done, 20))
    assert.deepEqual(seen, ['o-5'])
  })
})
