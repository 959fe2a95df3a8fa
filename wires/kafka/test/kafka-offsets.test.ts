/** Offsets and sends that are refused: the moments that a quiet broker never shows. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it, mock } from 'node:test'
import { Admin, Producer } from '@platformatic/kafka'
import { realBroker, type Broker } from '@quadrille/brokers'
import { isQuadrilleError, silentLogger, systemEnv, type Deliver, type Subscription, type Wire } from 'quadrille'
import { kafka, type KafkaOptions } from '../src/index.ts'
import { eventIn, eventOf, outgoing, until } from './events.ts'

const real = realBroker('kafka')

describe('on a real Kafka', { skip: real.skip }, () => {
  let broker: Broker
  let admin: Admin
  const wires: Wire[] = []

  before(async () => {
    broker = await real.start()
    admin = new Admin({ clientId: 'test', bootstrapBrokers: [broker.url] })
  })
  afterEach(async () => {
    for (const wire of wires.splice(0)) await wire.close()
  })
  after(async () => {
    await admin?.close()
    await broker?.stop()
  })

  const open = async (sends: readonly string[], options: Partial<KafkaOptions> = {}): Promise<Wire> => {
    const wire = kafka({ brokers: [broker.url], topics: { partitions: 1 }, ...options })
    wires.push(wire)
    await wire.open({ env: systemEnv, log: silentLogger, sends, notice: () => {} })
    return wire
  }
  const receive = (wire: Wire, { type, from }: { type: string; from: 'beginning' | 'now' }, deliver: Deliver) =>
    wire.receive({ service: type, types: [{ type, patterns: null }], from, instance: systemEnv.uuid() }, deliver)
  const committed = async (group: string): Promise<number> => {
    const groups = await admin.listConsumerGroupOffsets({ groups: [group] })
    return Number(groups[0]?.topics[0]?.partitions[0]?.committedOffset ?? -1)
  }

  it('a subscription that has received nothing yet keeps its place', async () => {
    const wire = await open(['placed.now'])
    const to = { type: 'placed.now', from: 'now' } as const
    await (await receive(wire, to, async () => {})).stop()
    const event = eventOf('placed.now', 'k', {})
    await wire.send([outgoing(event)])
    const ids: string[] = []
    await receive(wire, to, async (messages) => void ids.push(...messages.map((m) => eventIn(m).id)))
    await until(() => ids.length > 0, 'what was sent while nobody ran arrives')
    assert.deepEqual(ids, [event.id])
  })

  it('a group that the broker has forgotten is not a new one: it is refused, until somebody accepts the loss', async () => {
    const wire = await open(['forgotten'])
    const ids: string[] = []
    const take: Deliver = async (messages) => void ids.push(...messages.map((m) => eventIn(m).id))
    const subscription = (more: Partial<Subscription>): Subscription => {
      const types = [{ type: 'forgotten', patterns: null }]
      return { service: 'forgotten', types, from: 'now', instance: systemEnv.uuid(), ...more }
    }
    const events = [1, 2, 3, 4].map((n) => eventOf('forgotten', 'k', { n }))
    const first = await wire.receive(subscription({}), take)
    await wire.send(events.slice(0, 2).map(outgoing))
    await until(() => ids.length === 2, 'both arrive')
    await first.stop()
    await wire.send(events.slice(2).map(outgoing))
    // What the broker does by itself after offsets.retention.minutes.
    await admin.deleteGroups({ groups: ['forgotten'] })
    const known = ['forgotten', 'another.type']
    await assert.rejects(wire.receive(subscription({ known }), take), (error) => {
      assert.ok(isQuadrilleError(error, 'WIRE_POSITION_LOST'))
      return /no offsets any more/.test(error.message)
    })
    assert.equal(await committed('forgotten'), -1, 'the refusal has not made it a new one')
    await wire.receive(subscription({ known, lost: 'accept' }), take)
    await until(() => new Set(ids).size === 4, 'it goes on with the oldest that is there')
  })

  // Nobody is missed, and no heartbeat tells the first one, before it has tried to commit.
  const slow = { sessionMs: 40_000 }

  /** The first one has 10 events in hand and is thrown out; the second one takes them, and 10 more. */
  const takenOver = async (type: string) => {
    const [first, second] = [await open([type], slow), await open([], slow)]
    const to = { type, from: 'beginning' } as const
    const gate = Promise.withResolvers<void>()
    let inHand = 0
    await receive(first, to, async (messages) => {
      inHand += messages.length
      await gate.promise
    })
    const send = (count: number) =>
      first.send(Array.from({ length: count }, (_, n) => outgoing(eventOf(type, 'k', { n }))))
    await send(10)
    await until(() => inHand > 0, 'the first one has some in hand')
    await admin.removeMembersFromConsumerGroup({ groupId: type, members: null })
    await receive(second, to, async () => {})
    await send(10)
    await until(async () => (await committed(type)) === 20, 'the second one takes all')
    return gate.resolve
  }
  const stays = async (type: string, forMs: number) => {
    const latest = Date.now() + forMs
    while (Date.now() < latest) {
      assert.equal(await committed(type), 20)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  it('a member that was thrown out commits nothing any more, also not under a new membership', async () => {
    const letGo = await takenOver('thrown.out')
    letGo()
    await stays('thrown.out', 3_000)
  })

  it('after a failure the later events of the key wait, those of other keys and partitions go on', async () => {
    // Each event is a batch, and so a round, of its own.
    const wire = await open(['held.up'], { topics: { partitions: 4 }, messageBytesMax: 1_500 })
    const send = mock.method(Producer.prototype, 'send')
    // 7 REQUEST_TIMED_OUT
    send.mock.mockImplementationOnce(async ({ messages }: { messages: { topic: string; partition: number }[] }) => {
      const responses = Map.groupBy(messages, ({ topic }) => topic)
      throw Object.assign(new Error('scripted'), {
        response: {
          responses: [...responses].map(([name, some]) => ({
            name,
            partitionResponses: some.map(({ partition }) => ({ index: partition, errorCode: 7 })),
          })),
        },
      })
    })
    try {
      const events = ['a', 'a', 'a'].map((key) => eventOf('held.up', key, 'x'.repeat(800)))
      const other = eventOf('held.up', 'a-key-of-another-partition', 'x'.repeat(800))
      const results = await wire.send(events.map(outgoing))
      assert.deepEqual(
        results.map((result) => result?.code ?? null),
        ['WIRE_SEND_FAILED', 'WIRE_SEND_HELD', 'WIRE_SEND_HELD'],
      )
      assert.ok(results.every((result) => result?.retryable))
      assert.equal(send.mock.callCount(), 1)
      assert.deepEqual(await wire.send([outgoing(other), ...events.map(outgoing)]), [null, null, null, null])
    } finally {
      send.mock.restore()
    }
  })
})
