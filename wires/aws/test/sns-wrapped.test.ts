/** Messages that SNS wraps (`raw: false`), from one ledger to another, against fauxqs. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { GetSubscriptionAttributesCommand, PublishCommand, type SNSClient } from '@aws-sdk/client-sns'
import { event, service, silentLogger, start, systemEnv } from 'quadrille'
import type { App, EventRecord, WireOptions } from 'quadrille'
import * as z from 'zod'
import { until } from '@quadrille/brokers/wire-load'
import { sns } from '@quadrille/aws'
import { clientFor, snsClient, subscriptionArns, topicArn } from './aws-setup.ts'
import { startFauxqs, type Fauxqs } from './fauxqs-server.ts'

const Created = event('order.created', { key: 'orderId', schema: z.looseObject({ orderId: z.string() }) })
const Legacy = z.object({ ref: z.string() })

/** A CloudEvent as text, with its data as they are to arrive. */
function cloudEvent(id: string, key: string, data: string): string {
  const attributes = {
    specversion: '1.0',
    id,
    type: 'order.created',
    source: 'https://shop.example.com/ünï',
    subject: key,
    time: '2026-11-28T10:00:00.000Z',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    tracestate: 'vendor=a"b\\c,other=1',
    tenant: 'Ω "quoted" \\',
  }
  return `${JSON.stringify(attributes).slice(0, -1)},"data":${data}}`
}

const dataOf = (orderId: string, text: string) => JSON.stringify({ orderId, text })

/** What gets lost where something between two JSON texts reads, writes or cuts. */
const awkward: Readonly<Record<string, string>> = {
  numbers: '{"orderId":"k","z":12345678901234567890,"a":1.0,"2":1e400,"1":-0}',
  escapes: '{"orderId":"k","text":"\\u0041\\/\\ud800 \\ufffe"}',
  quotes: dataOf('k', '"\\'.repeat(20_000)),
  control: dataOf('k', '\0\u0001\t\n\r\u007f\u0085\u2028\u2029\uFEFF'),
  unicode: dataOf('k', '𝒬 👩‍👩‍👧 ñ n\u0303 \u{10FFFF} \u05d0\u202e'.repeat(2_000)),
  envelope: '{"orderId":"k","Type":"Notification","TopicArn":"arn:aws:sns:x:1:y","Message":"{}"}',
}

describe('what SNS wraps', () => {
  let server: Fauxqs
  let client: SNSClient
  before(async () => {
    server = await startFauxqs()
    client = snsClient(server.port)
  })
  after(async () => {
    client.destroy()
    await server.stop()
  })

  /** A ledger that sends and one that receives, and what was appended to either. */
  async function joined(t: { after(fn: () => Promise<void>): void }, fifo = true) {
    const prefix = `w${systemEnv.uuid().slice(-8)}-`
    const wire = () => sns({ prefix, client: clientFor(server.port), wait: '0s', raw: false, fifo })
    const ordered = fifo ? {} : { unordered: true as const }
    const map = (message: { json(): unknown }) => Created({ orderId: Legacy.parse(message.json()).ref })
    const foreign = { 'old.orders': { events: [Created], map } }
    const apps: App[] = []
    t.after(async () => void (await Promise.all(apps.map((app) => app.stop()))))
    const begin = async (name: string, more: Partial<WireOptions>) => {
      const events: EventRecord[] = []
      const app = await start({
        services: [service(name).on(Created, () => {})],
        wires: [{ wire: wire(), from: 'now', ...ordered, ...more }],
        log: silentLogger,
        hooks: { appended: (facts) => void events.push(...facts.events) },
      })
      apps.push(app)
      return { app, events }
    }
    const receiver = await begin('listener', { sends: [], foreign })
    const sender = await begin('shop', { sends: [Created], receives: [], forwards: true })
    const topicOf = (type: string) => topicArn(client, `${prefix}${type}${fifo ? '.fifo' : ''}`)
    const [SubscriptionArn] = await subscriptionArns(client, await topicOf('order-created'))
    const { Attributes } = await client.send(new GetSubscriptionAttributesCommand({ SubscriptionArn }))
    assert.equal(Attributes?.['RawMessageDelivery'], 'false')
    return { receiver, sender, topicOf }
  }

  /** But for where it stands, and the mark of where it came from. */
  const asSent = (record: EventRecord) => {
    const extensions = JSON.parse(record.extensions ?? '{}') as Record<string, unknown>
    return { ...record, position: 0, extensions: { ...extensions, receivedvia: '' } }
  }

  it('arrives with every attribute, and its data to the letter', async (t) => {
    const { sender, receiver } = await joined(t)
    const texts = Object.entries(awkward).map(([id, data]) => cloudEvent(id, 'k', data))
    await sender.app.receive(texts.map((text) => new TextEncoder().encode(text)))
    await until(() => receiver.events.length >= texts.length, 'all arrive')
    assert.deepEqual(receiver.events.map(asSent), sender.events.map(asSent))
    assert.deepEqual(Object.fromEntries(receiver.events.map(({ id, data }) => [id, data])), awkward)
    const { traceparent, tracestate } = JSON.parse(texts[0]!) as Record<string, string>
    for (const event of receiver.events)
      assert.deepEqual([event.traceparent, event.tracestate], [traceparent, tracestate])
  })

  for (const fifo of [true, false])
    it(`arrives once, ${fifo ? 'in the order of its key' : 'in any order'}`, async (t) => {
      const { sender, receiver } = await joined(t, fifo)
      const [keys, each] = [5, 30]
      const ids = Array.from({ length: keys * each }, (_, n) => `e-${n}`)
      const texts = ids.map((id, n) => cloudEvent(id, `k-${n % keys}`, dataOf(`k-${n % keys}`, String(n))))
      await sender.app.receive(texts.map((text) => new TextEncoder().encode(text)))
      await until(() => receiver.events.length >= ids.length, 'all arrive')
      await receiver.app.quiet()
      const got = receiver.events.map(({ id }) => id)
      assert.deepEqual(new Set(got), new Set(ids))
      assert.equal(got.length, ids.length)
      if (!fifo) return
      const byKey = Map.groupBy(receiver.events, ({ key }) => key)
      for (const [key, events] of byKey)
        assert.deepEqual(
          events.map(({ id }) => id),
          ids.filter((_, n) => `k-${n % keys}` === key),
        )
    })

  it('becomes a dead letter with the bytes that were sent, without what is around them, where it is no event', async (t) => {
    const { receiver, topicOf } = await joined(t)
    const binary = { specversion: '1.0', id: 'b', type: 'order.created', source: 's', data_base64: '/wD+gA==' }
    const bodies = [JSON.stringify(binary), '"TopicArn" \u00e9 {nonsense']
    const TopicArn = await topicOf('order-created')
    for (const [n, Message] of bodies.entries()) {
      const ids = { MessageGroupId: 'g', MessageDeduplicationId: `d-${n}` }
      await client.send(new PublishCommand({ TopicArn, Message, ...ids }))
    }
    await until(async () => (await receiver.app.deadLetters.list()).length === bodies.length, 'both are there')
    const letters = await receiver.app.deadLetters.list()
    assert.deepEqual(
      letters.map(({ bytes }) => new TextDecoder().decode(bytes)),
      bodies,
    )
    assert.match(letters[0]!.message, /data_base64 is not supported/)
  })

  it('is mapped by its topic, where its sender speaks no CloudEvents', async (t) => {
    const { receiver, topicOf } = await joined(t)
    const ids = { MessageGroupId: 'g', MessageDeduplicationId: 'd' }
    const TopicArn = await topicOf('old-orders')
    await client.send(new PublishCommand({ TopicArn, Message: '{"ref":"o-7 é"}', ...ids }))
    await until(() => receiver.events.length > 0, 'it is mapped')
    assert.deepEqual(
      receiver.events.map(({ key }) => key),
      ['o-7 é'],
    )
    assert.deepEqual(await receiver.app.deadLetters.list(), [])
  })
})
