/** Fetching, holding and giving back, against ElasticMQ, which refuses stale receipts as AWS does. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import {
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs'
import { realBroker, type Broker } from '@quadrille/brokers'
import { isQuadrilleError, sleep, systemEnv, type EventRecord, type IncomingMessage } from 'quadrille'
import { sqs, type SqsOptions } from '@quadrille/aws'
import { clientFor, contextOf, queueUrl, sqsClient } from './aws-setup.ts'

const elasticmq = realBroker('elasticmq')

describe('a queue', { skip: elasticmq.skip }, () => {
  let broker: Broker
  let client: SQSClient
  before(async () => {
    broker = await elasticmq.borrow()
    client = sqsClient(broker.port)
  })
  after(async () => {
    client.destroy()
    await broker.stop()
  })

  let count = 0
  const eventOf = (key: string, fields: Partial<EventRecord> = {}): EventRecord => {
    count += 1
    const id = `e-${count}`
    const causes = {
      correlationId: id,
      causationId: null,
      reaction: null,
      hops: 0,
      traceparent: null,
      tracestate: null,
    }
    const what = { type: 'a', version: 1, source: 's', time: 0, data: '{}', extensions: null, position: count }
    return { id, key, ...causes, ...what, ...fields }
  }
  const outgoing = (event: EventRecord) => ({ event, dedupeId: event.id })
  const idsOf = (messages: readonly IncomingMessage[]) =>
    messages.map(({ body }) => (JSON.parse(Buffer.from(body).toString()) as { id: string }).id)

  /** An open wire with a queue of its own for the service `s`, and what it needs for receiving. */
  async function opened(t: { after(fn: () => Promise<void>): void }, options: Partial<SqsOptions> = {}) {
    const prefix = `q${systemEnv.uuid().slice(-8)}-`
    const times = { visibility: '3s', wait: '1s', timeout: '4s' } as const
    const wire = sqs({ prefix, client: clientFor(broker.port), ...times, queues: { a: ['s'], b: ['s'] }, ...options })
    await wire.open(contextOf(['a']))
    t.after(() => wire.close())
    const types = ['a', 'b'].map((type) => ({ type, patterns: null }))
    const subscription = { service: 's', types, from: 'beginning' as const, instance: 'i' }
    return {
      wire,
      prefix,
      subscription,
      url: () => queueUrl(client, `${prefix}s${options.fifo === false ? '' : '.fifo'}`),
    }
  }
  const until = async (what: () => boolean) => {
    while (!what()) await sleep(systemEnv, 10)
  }

  it('keeps what is sent before anybody receives', async (t) => {
    const { wire, subscription } = await opened(t)
    const events = [eventOf('k'), eventOf('k', { type: 'b' }), eventOf('l')]
    assert.deepEqual(await wire.send(events.map(outgoing)), [null, null, null])
    const got: IncomingMessage[] = []
    await wire.receive(subscription, async (batch) => void got.push(...batch))
    await until(() => got.length === 3)
    assert.deepEqual(new Set(idsOf(got)), new Set(events.map(({ id }) => id)))
    const channels = new Map(idsOf(got).map((id, index) => [id, got[index]!.channel]))
    for (const { id, type } of events) assert.equal(channels.get(id), type)
  })

  it('hides what is in hand for longer, as long as the ledger takes', async (t) => {
    const { wire, subscription, url } = await opened(t)
    let deliveries = 0
    await wire.receive(subscription, async () => {
      deliveries += 1
      await sleep(systemEnv, 7_000)
    })
    await wire.send([outgoing(eventOf('k'))])
    await until(() => deliveries === 1)
    // Another consumer sees nothing of it, for more than twice the visibility.
    const spy = new ReceiveMessageCommand({ QueueUrl: await url(), WaitTimeSeconds: 6 })
    assert.deepEqual((await client.send(spy)).Messages ?? [], [])
    await wire.close()
    const left = new GetQueueAttributesCommand({ QueueUrl: await url(), AttributeNames: ['All'] })
    const { Attributes } = await client.send(left)
    assert.equal(Attributes!['ApproximateNumberOfMessages'], '0')
    assert.equal(Attributes!['ApproximateNumberOfMessagesNotVisible'], '0')
    assert.equal(deliveries, 1)
  })

  it('gives back what is refused, the group in order, and other groups go on', async (t) => {
    const { wire, subscription } = await opened(t)
    const events = ['a', 'a', 'a', 'b'].map((key) => eventOf(key))
    await wire.send(events.map(outgoing))
    const got: string[] = []
    let refusals = 2
    await wire.receive(subscription, async (batch) => {
      if (refusals-- > 0) throw new TypeError('no')
      got.push(...idsOf(batch))
    })
    await until(() => new Set(got).size === 4)
    const ofA = [...new Set(got)].filter((id) => id !== events[3]!.id)
    assert.deepEqual(
      ofA,
      events.slice(0, 3).map(({ id }) => id),
    )
  })

  it('hands on text that is no event', async (t) => {
    const { wire, subscription, url } = await opened(t)
    const got: IncomingMessage[] = []
    await wire.receive(subscription, async (batch) => void got.push(...batch))
    const bodies = ['{ "not": "finished', 'Grüße', '{"Type":"Notification"}']
    for (const [index, MessageBody] of bodies.entries()) {
      const fifo = { MessageGroupId: `g${index}`, MessageDeduplicationId: `d${index}` }
      await client.send(new SendMessageCommand({ QueueUrl: await url(), MessageBody, ...fifo }))
    }
    await until(() => got.length === bodies.length)
    assert.deepEqual(new Set(got.map(({ body }) => Buffer.from(body).toString())), new Set(bodies))
  })

  it('takes keys and ids of any kind', async (t) => {
    const { wire, subscription } = await opened(t)
    const got: string[] = []
    await wire.receive(subscription, async (batch) => void got.push(...idsOf(batch)))
    const events = ['Łódź', 'two words', 'x'.repeat(500), ''].map((key) =>
      eventOf(key, { id: `id of ${key || 'none'}` }),
    )
    assert.deepEqual(
      await wire.send(events.map(outgoing)),
      events.map(() => null),
    )
    await until(() => got.length === events.length)
    assert.deepEqual(new Set(got), new Set(events.map(({ id }) => id)))
  })

  it('takes a batch of large events in several calls', async (t) => {
    const { wire, subscription } = await opened(t)
    const data = JSON.stringify('x'.repeat(100_000))
    const events = Array.from({ length: 7 }, (_, n) => eventOf(`k${n}`, { data }))
    assert.deepEqual(
      await wire.send(events.map(outgoing)),
      events.map(() => null),
    )
    const got: string[] = []
    await wire.receive(subscription, async (batch) => void got.push(...idsOf(batch)))
    await until(() => got.length === 7)
  })

  it('is not made where that is not wanted', async (t) => {
    const { prefix } = await opened(t)
    const wire = sqs({ prefix, client: clientFor(broker.port), create: false, queues: { a: ['s', 'other'] } })
    await assert.rejects(
      wire.open(contextOf(['a'])),
      (error) => isQuadrilleError(error, 'WIRE_INCOMPATIBLE') && /queue .*other.fifo is missing/.test(error.message),
    )
  })

  it('is a standard one where order is not asked for', async (t) => {
    const { wire, subscription, url } = await opened(t, { fifo: false })
    const got: string[] = []
    await wire.receive(subscription, async (batch) => void got.push(...idsOf(batch)))
    const events = Array.from({ length: 30 }, () => eventOf('k'))
    await wire.send(events.map(outgoing))
    await until(() => new Set(got).size === 30)
    assert.equal((await url()).endsWith('.fifo'), false)
  })
})
