/** What only Kafka can do to us. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it, mock } from 'node:test'
import { Admin, Consumer, Producer } from '@platformatic/kafka'
import { realBroker, type Broker } from '@quadrille/brokers'
import { silentLogger, systemEnv, toCloudEvent } from 'quadrille'
import type { IncomingMessage, QuadrilleError, Subscription, Wire, WireNotice } from 'quadrille'
import { javaPartition, kafka, type KafkaOptions } from '../src/index.ts'
import { eventIn, eventOf, outgoing, until } from './events.ts'

const real = realBroker('kafka')

describe('on a real Kafka', { skip: real.skip }, () => {
  let broker: Broker
  const wires: Wire[] = []
  const notices: WireNotice[] = []

  before(async () => {
    broker = await real.start({ settings: ['group.min.session.timeout.ms=1000'] })
  })
  afterEach(async () => {
    for (const wire of wires.splice(0)) await wire.close()
    notices.length = 0
  })
  after(() => broker?.stop())

  const open = async (sends: readonly string[], options: Partial<KafkaOptions> = {}): Promise<Wire> => {
    const wire = kafka({ brokers: [broker.url], sessionMs: 3_000, topics: { partitions: 2 }, ...options })
    wires.push(wire)
    await wire.open({ env: systemEnv, log: silentLogger, sends, notice: (notice) => notices.push(notice) })
    return wire
  }
  const receive = async (wire: Wire, types: readonly string[], to: Partial<Subscription> = {}) => {
    const taken: IncomingMessage[] = []
    const receiver = await wire.receive(
      {
        service: `service-${types[0]}`,
        types: types.map((type) => ({ type, patterns: null })),
        from: 'beginning',
        instance: systemEnv.uuid(),
        ...to,
      },
      async (messages) => void taken.push(...messages),
    )
    return { taken, receiver }
  }
  const withAdmin = async <Value>(act: (admin: Admin) => Promise<Value>): Promise<Value> => {
    const admin = new Admin({ clientId: 'test', bootstrapBrokers: [broker.url] })
    try {
      return await act(admin)
    } finally {
      await admin.close()
    }
  }
  const inject = async (topic: string, value: string, headers: Record<string, string>): Promise<void> => {
    const producer = new Producer({ clientId: 'test', bootstrapBrokers: [broker.url] })
    const bytes = new Map(Object.entries(headers).map(([name, text]) => [Buffer.from(name), Buffer.from(text)]))
    await producer.send({ messages: [{ topic, value: Buffer.from(value), headers: bytes }], acks: -1 })
    await producer.close()
  }
  const codes = (results: readonly (QuadrilleError | null)[]) => results.map((result) => result?.code ?? null)

  it('leaves a topic that exists as it is', async () => {
    await withAdmin((admin) => admin.createTopics({ topics: ['there.already'], partitions: 1, replicas: 1 }))
    const wire = await open(['there.already'], { topics: { partitions: 7 } })
    await receive(wire, ['there.already'])
    const { topics } = await withAdmin((admin) => admin.metadata({ topics: ['there.already'] }))
    assert.equal(topics.get('there.already')!.partitionsCount, 1)
  })

  it('makes a missing topic as it is told, and refuses it where it may not make one', async () => {
    await open(['made.new'], { topics: { partitions: 5, settings: { 'retention.ms': '1000000' } } })
    const { topics } = await withAdmin((admin) => admin.metadata({ topics: ['made.new'] }))
    assert.equal(topics.get('made.new')!.partitionsCount, 5)
    await assert.rejects(open(['not.there'], { topics: false }), { code: 'WIRE_INCOMPATIBLE', message: /not\.there/ })
    await assert.rejects(open(['made.wrong'], { topics: { settings: { 'no.such.setting': '1' } } }), {
      code: 'WIRE_INCOMPATIBLE',
    })
    await assert.rejects(open(['not legal'], {}), { code: 'WIRE_INCOMPATIBLE', message: /option topic/ })
  })

  it('refuses to open where two of its types collide, and names both topics', async () => {
    await assert.rejects(open(['clash.of.two', 'clash_of.two'], {}), {
      code: 'WIRE_INCOMPATIBLE',
      message: /clash_of\.two.*clash\.of\.two.*option topic/,
    })
  })

  it('refuses events of a topic that Kafka does not take, and sends all others', async () => {
    const topic = (type: string) => (type === 'no.name' ? 'no name' : type)
    const wire = await open(['taken.name'], { topic })
    const types = ['taken.name', 'taken_name', 'no.name', 'new.name']
    const results = await wire.send(types.map((type) => outgoing(eventOf(type, 'k', {}))))
    assert.deepEqual(codes(results), [null, 'WIRE_MESSAGE_REFUSED', 'WIRE_MESSAGE_REFUSED', null])
    assert.match(results[1]!.message, /taken_name.*taken\.name/)
    assert.match(results[2]!.message, /"no name" can not name the topic of no\.name/)
    assert.deepEqual(notices, [], 'nobody is told that the broker is away')
  })

  it('holds up only the later events of a key behind one whose topic is missing, until somebody makes it', async () => {
    await withAdmin((admin) => admin.createTopics({ topics: ['made.early'], partitions: 2, replicas: 1 }))
    const wire = await open(['made.early'], { topics: false })
    const events = [
      eventOf('made.early', 'k', { n: 1 }),
      eventOf('made.late', 'k', { n: 2 }),
      eventOf('made.early', 'k', { n: 3 }),
      eventOf('made.early', 'other', { n: 4 }),
    ].map(outgoing)
    const results = await wire.send(events)
    assert.deepEqual(codes(results), [null, 'WIRE_SEND_FAILED', 'WIRE_SEND_HELD', null])
    assert.match(results[1]!.message, /made\.late does not exist/)
    assert.deepEqual((await wire.health()).problems, [])
    await withAdmin((admin) => admin.createTopics({ topics: ['made.late'], partitions: 2, replicas: 1 }))
    await until(async () => (await wire.send([events[1]!]))[0] === null, 'it is taken now')
    assert.deepEqual(notices, [])
  })

  it('puts a key where Java puts it, with its attributes in headers', async () => {
    const wire = await open(['placed'], { topics: { partitions: 5 } })
    const event = eventOf('placed', 'foobar', { n: 1 })
    assert.deepEqual(await wire.send([outgoing(event)]), [null])
    const consumer = new Consumer({ clientId: 'test', groupId: 'look', bootstrapBrokers: [broker.url] })
    const stream = await consumer.consume({ topics: ['placed'], mode: 'earliest' })
    for await (const { partition, key, value, headers } of stream) {
      const texts = new Map([...headers].map(([name, text]) => [String(name), String(text)]))
      assert.equal(partition, javaPartition(Buffer.from('foobar'), 5))
      assert.equal(String(key), 'foobar')
      assert.equal(String(value), '{"n":1}')
      assert.equal(texts.get('ce_id'), event.id)
      assert.equal(texts.get('ce_type'), 'placed')
      assert.equal(texts.get('content-type'), 'application/json')
      assert.ok(!texts.has('ce_datacontenttype'))
      break
    }
    await consumer.close(true)
  })

  it('reads structured events, and hands on what is none with the type of its topic', async () => {
    const wire = await open([])
    const { taken } = await receive(wire, ['foreign'])
    const event = eventOf('foreign', 'k', { n: 2 })
    await inject('foreign', JSON.stringify(toCloudEvent(event)), {
      'Content-Type': 'application/cloudevents+json; charset=utf-8',
    })
    await inject('foreign', 'plain text', { other: 'header' })
    await until(() => taken.length === 2, 'both arrive')
    const structured = taken.find(({ body }) => body.length > 20)!
    assert.equal(structured.attributes, null)
    assert.equal(eventIn(structured).id, event.id)
    const plain = taken.find(({ body }) => body.length < 20)!
    assert.deepEqual(
      { ...plain, body: Buffer.from(plain.body).toString() },
      {
        attributes: null,
        body: 'plain text',
        channel: 'foreign',
      },
    )
  })

  it('keeps the order of a key across types that share a topic, and skips those that nobody asked for', async () => {
    const wire = await open(['shared.a', 'shared.b', 'shared.c'], { topic: () => 'shared' })
    const { taken } = await receive(wire, ['shared.a', 'shared.b'], { service: 'two' })
    const events = Array.from({ length: 60 }, (_, n) => eventOf(`shared.${'abc'[n % 3]}`, `k${n % 4}`, { n }))
    await wire.send(events.map(outgoing))
    const wanted = events.filter(({ type }) => type !== 'shared.c')
    await until(() => taken.length >= wanted.length, 'they arrive')
    assert.equal(taken.length, wanted.length)
    const got = taken.map(eventIn)
    for (const [key, some] of Map.groupBy(wanted, (event) => event.key))
      assert.deepEqual(
        got.filter((event) => event.key === key).map(({ id }) => id),
        some.map(({ id }) => id),
      )
  })

  it('sends one by one what is too large together for a topic, and refuses only what is too large by itself', async () => {
    await withAdmin((admin) =>
      admin.createTopics({
        topics: ['small.room'],
        partitions: 1,
        replicas: 1,
        configs: [{ name: 'max.message.bytes', value: '3000' }],
      }),
    )
    const wire = await open(['small.room'])
    const { taken } = await receive(wire, ['small.room'])
    const events = [1_000, 1_000, 5_000, 1_000, 1_000].map((length) => eventOf('small.room', 'k', 'x'.repeat(length)))
    assert.deepEqual(codes(await wire.send(events.map(outgoing))), [null, null, 'WIRE_MESSAGE_REFUSED', null, null])
    await until(() => taken.length >= 4, 'the others arrive')
    assert.deepEqual(
      [...new Set(taken.map((message) => eventIn(message).id))],
      [0, 1, 3, 4].map((index) => events[index]!.id),
    )
  })

  it('finds partitions that are added while it runs, and misses nothing in them', async () => {
    const wire = await open(['growing'])
    const { taken } = await receive(wire, ['growing'], { from: 'now' })
    await withAdmin((admin) =>
      admin.createPartitions({
        topics: [{ name: 'growing', count: 6, assignments: Array(4).fill({ brokerIds: [1] }) }],
      }),
    )
    const key = Array.from({ length: 1_000 }, (_, n) => `key-${n}`).find((k) => javaPartition(Buffer.from(k), 6) === 5)!
    const event = eventOf('growing', key, {})
    await until(async () => {
      const { topics } = await withAdmin((admin) => admin.metadata({ topics: ['growing'] }))
      return topics.get('growing')!.partitionsCount === 6
    }, 'the broker has them')
    const other = await open(['growing'])
    assert.deepEqual(await other.send([outgoing(event)]), [null])
    await until(() => taken.length > 0, 'it arrives', 30_000)
    assert.equal(eventIn(taken[0]!).id, event.id)
  })

  it('notices a connection that is open and brings nothing, and makes a new one', async () => {
    const wire = await open(['silent'])
    const { taken, receiver } = await receive(wire, ['silent'])
    // From the next request on, no answer ever comes, and no error.
    const silence = mock.method(Consumer.prototype, 'fetch', () => new Promise(() => {}))
    try {
      await wire.send([outgoing(eventOf('silent', 'k', {}))])
      // The request that was under way may still bring what has been sent by then.
      await until(() => silence.mock.callCount() > 0, 'the silence begins')
      await wire.send([outgoing(eventOf('silent', 'k', {}))])
      await until(() => notices.some(({ kind }) => kind === 'lost'), 'it is told', 40_000)
      assert.match(notices.find(({ kind }) => kind === 'lost')!.why, /connecting anew/)
      assert.notDeepEqual((await receiver.health()).problems, [])
    } finally {
      silence.mock.restore()
    }
    await until(() => new Set(taken.map((message) => eventIn(message).id)).size === 2, 'everything arrives', 40_000)
    await until(async () => (await receiver.health()).problems.length === 0, 'all is well again')
  })

  it('refuses options that make no sense', () => {
    assert.throws(() => kafka({ brokers: [] }), { code: 'OPTION_INVALID' })
    assert.throws(() => kafka({ brokers: undefined as never }), { code: 'OPTION_INVALID', message: /brokers/ })
    const wrong = [{ sesionMs: 5 }, { sasl: { mechanism: 'PLAIN', user: 'a' } }, { topics: { partition: 3 } }]
    for (const options of wrong)
      assert.throws(() => kafka({ brokers: ['a:1'], ...options } as never), { code: 'OPTION_INVALID' })
    assert.throws(() => kafka({ brokers: ['kafka://a:9092'] }), { code: 'OPTION_INVALID' })
    assert.throws(() => kafka({ brokers: ['a:1'], sessionMs: 5 }), { code: 'OPTION_INVALID' })
    assert.throws(() => kafka({ brokers: ['a:1'], requestMs: NaN }), { code: 'OPTION_INVALID' })
  })
})
