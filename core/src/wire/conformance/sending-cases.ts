/** Cases: what send promises, and what it refuses. */
import { holds, refused, same } from '../../base/expectation.ts'
import { isQuadrilleError, QuadrilleError } from '../../base/index.ts'
import { toBinaryEvent } from '../../contracts/index.ts'
import { idsOf, Inbox, outgoing, sendAll, sendUntilTaken, wireEvent, wireEvents } from './inbox.ts'
import type { WireCase } from './wire-world.ts'

/** Every attribute that an event can have, and characters from all corners of Unicode. */
const full = {
  key: 'Łódź-1',
  version: 3,
  source: 'payments',
  correlationId: 'conversation-1',
  causationId: 'cause-1',
  reaction: 'charge',
  hops: 4,
  time: 1_700_000_000_123,
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  tracestate: 'vendor=value,other=1',
  data: JSON.stringify({ text: 'Grüße, 世界, 🎉, \u2028, "quotes", \\', nested: { list: [1, null, 0.1] } }),
  extensions: JSON.stringify({ tenant: 'blue', region: 'eu-west-1' }),
}

/** Sending. */
export const sendingCases: readonly WireCase[] = [
  {
    name: 'declares what the harness says',
    async run({ wire, capabilities }) {
      same(wire.capabilities, capabilities, 'the capabilities of the wire are those of the harness')
      holds(wire.capabilities.from.length > 0, 'a subscription can start somewhere')
      holds(wire.name.length > 0, 'a wire has a name')
    },
  },
  {
    name: 'send answers for each message, in the order of the messages',
    async run(world) {
      const inbox = new Inbox(world)
      await world.receive(world.wire, inbox.deliver)
      const events = wireEvents(world, 25, 5)
      const results = await world.wire.send(events.map((event) => outgoing(event)))
      same(
        results,
        events.map(() => null),
        'null for each event that the broker has',
      )
      await inbox.has(idsOf(events), 'what was sent arrives')
      same(await world.wire.send([]), [], 'nothing is sent, nothing is answered')
    },
  },
  {
    name: 'an event arrives as it was sent: attributes, extensions, trace context, Unicode',
    async run(world) {
      const inbox = new Inbox(world)
      await world.receive(world.wire, inbox.deliver)
      const sent = [wireEvent(world, full), wireEvent(world)]
      await sendAll(world.wire, sent)
      await inbox.has(idsOf(sent), 'what was sent arrives')
      for (const event of sent) {
        const { position: _, data, extensions, ...attributes } = event
        const { data: arrivedData, extensions: arrivedExtensions, ...arrived } = inbox.event(event.id)!
        same(arrived, attributes, 'every attribute arrives as it was')
        // In any order: headers have none.
        same(JSON.parse(arrivedExtensions ?? '{}'), JSON.parse(extensions ?? '{}'), 'and every extension')
        same(JSON.parse(arrivedData), JSON.parse(data), 'the data arrive as they were')
      }
    },
  },
  {
    name: 'an event that the broker has survives the end of its sender',
    needs: ['crash'],
    async run(world) {
      const inbox = new Inbox(world)
      await world.receive(world.wire, inbox.deliver)
      const sender = await world.open([world.a])
      const events = wireEvents(world, 50, 7)
      await sendAll(sender, events)
      await world.hooks.crash(sender)
      await inbox.has(idsOf(events), 'send resolves when the broker has the events, not before')
    },
  },
  {
    name: 'an event that the broker has survives a kill of the broker',
    needs: ['killBroker'],
    async run(world) {
      const inbox = new Inbox(world)
      const first = await world.open()
      const receiver = await world.receive(first, inbox.deliver)
      await receiver.stop()
      const events = wireEvents(world, 50, 7)
      await sendAll(world.wire, events)
      const restart = await world.hooks.killBroker()
      await restart()
      const second = await world.open()
      await world.receive(second, inbox.deliver)
      await inbox.has(idsOf(events), 'what the broker has acknowledged is on its disk')
    },
  },
  {
    name: 'opening again changes nothing that exists',
    async run(world) {
      const inbox = new Inbox(world)
      await (await world.receive(world.wire, inbox.deliver)).stop()
      const events = wireEvents(world, 10, 2)
      await sendAll(world.wire, events)
      const again = await world.open([world.a, world.b])
      await world.receive(again, inbox.deliver)
      await inbox.has(idsOf(events), 'what waited at the broker is still there')
    },
  },
  {
    name: 'a type that was not announced at open can be sent too',
    async run(world) {
      const inbox = new Inbox(world)
      const sender = await world.open()
      await world.receive(world.wire, inbox.deliver)
      const events = wireEvents(world, 10, 2)
      await sendUntilTaken(world, sender, events)
      await inbox.has(idsOf(events), 'what it needs at the broker is made when it is sent')
    },
  },
  {
    name: 'an event that is too large is refused for ever, and nothing else with it',
    unless: ({ messageBytesMax }) => (messageBytesMax === null ? 'it knows no largest message' : null),
    async run(world) {
      const inbox = new Inbox(world)
      await world.receive(world.wire, inbox.deliver)
      const max = world.capabilities.messageBytesMax!
      const sized = (bytes: number) => wireEvent(world, { data: JSON.stringify('x'.repeat(bytes - 2)) })
      // What brokers count as part of a message differs by a few bytes for each attribute.
      const spare = 2 * JSON.stringify(toBinaryEvent(wireEvent(world)).attributes).length
      const [before, fits, large, behind] = [wireEvent(world), sized(max - spare), sized(max + 1), wireEvent(world)]
      const events = [before, fits, large, behind]
      const results: (QuadrilleError | null)[] = []
      for (const event of events) results.push(...(await world.wire.send([outgoing(event)])))
      same(
        results.map((result) => result?.code ?? null),
        [null, null, 'WIRE_MESSAGE_REFUSED', null],
        'only the event above the limit is refused, as WIRE_MESSAGE_REFUSED',
      )
      holds(results[2]?.retryable === false, 'the error says that sending again can not help')
      const together = [wireEvent(world), sized(max + 1), wireEvent(world)]
      const codes = (await world.wire.send(together.map((event) => outgoing(event)))).map((result) => result?.code)
      same(
        codes,
        [undefined, 'WIRE_MESSAGE_REFUSED', undefined],
        'also when it is sent together with others of its key',
      )
      await inbox.has(idsOf([before, fits, behind, together[0]!, together[2]!]), 'the others arrive')
      holds(!inbox.ids.includes(large.id), 'a refused event does not arrive')
    },
  },
  {
    name: 'the largest event that is taken arrives, and with one byte more it is refused before it is sent',
    unless: ({ messageBytesMax }) => (messageBytesMax === null ? 'it knows no largest message' : null),
    async run(world) {
      const inbox = new Inbox(world)
      await world.receive(world.wire, inbox.deliver)
      const takenIds: string[] = []
      const takes = async (bytes: number) => {
        const event = wireEvent(world, { data: JSON.stringify('x'.repeat(bytes - 2)) })
        const [result = null] = await world.wire.send([outgoing(event)])
        const code = result?.code ?? 'WIRE_MESSAGE_REFUSED'
        same(code, 'WIRE_MESSAGE_REFUSED', `an event with ${bytes} bytes of data is taken, or refused for ever`)
        if (result === null) takenIds.push(event.id)
        return result === null
      }
      const max = world.capabilities.messageBytesMax!
      const spare = 2 * JSON.stringify(toBinaryEvent(wireEvent(world)).attributes).length
      // How many bytes the attributes take only the wire knows, so the limit is looked for.
      let [fits, large] = [max - spare, max + 1]
      holds(await takes(fits), 'the limit is that for the whole message')
      while (large - fits > 1) {
        const middle = Math.floor((fits + large) / 2)
        if (await takes(middle)) fits = middle
        else large = middle
      }
      const around = [await takes(fits - 1), await takes(fits), await takes(fits + 1)]
      same(around, [true, true, false], 'the limit is the same for every event')
      await inbox.has(takenIds, 'what is taken arrives, up to the last byte')
      const lost = world.notices.filter(({ kind }) => kind === 'lost')
      same(lost, [], 'what is too large never gets to the broker, which would hang up')
    },
  },
  {
    name: 'an event for which nobody has subscribed is an error, until somebody has',
    unless: ({ reportsUnroutable }) => (reportsUnroutable ? null : 'it does not report unroutable events'),
    async run(world) {
      const event = wireEvent(world)
      const [result] = await world.wire.send([outgoing(event)])
      same(result?.code, 'WIRE_UNROUTABLE', 'nobody has subscribed to it')
      holds(result?.retryable === true, 'later somebody may have')
      const inbox = new Inbox(world)
      await world.receive(world.wire, inbox.deliver)
      await sendUntilTaken(world, world.wire, [event])
      await inbox.has([event.id], 'sent again, it arrives')
    },
  },
  {
    name: 'an event that is sent twice is no error, and one that is redriven arrives again',
    async run(world) {
      const inbox = new Inbox(world)
      await world.receive(world.wire, inbox.deliver)
      const event = wireEvent(world)
      same(await world.wire.send([outgoing(event)]), [null], 'the first time')
      await inbox.has([event.id], 'it arrives')
      same(await world.wire.send([outgoing(event)]), [null], 'the second time: the first answer may have been lost')
      const redrives = [1, 2]
      for (const redrive of redrives) {
        const before = inbox.taken.length
        same(await world.wire.send([outgoing(event, redrive)]), [null], 'the redrive is taken')
        const marker = wireEvent(world)
        await sendAll(world.wire, [marker])
        await inbox.has([marker.id], 'what is sent behind it arrives')
        const again = inbox.taken.slice(before).filter((each) => each.event?.id === event.id)
        holds(again.length > 0, 'a redrive is not swallowed by the deduplication of the broker')
      }
    },
  },
  {
    name: 'a wire that is closed refuses to send',
    async run(world) {
      const wire = await world.open([world.a])
      await wire.close()
      await wire.close()
      await refused(() => wire.send([outgoing(wireEvent(world))]), 'WIRE_UNREACHABLE', 'nothing is sent any more')
    },
  },
  {
    name: 'a broker that can not be reached is an error of open, that says so',
    needs: ['killBroker'],
    async run(world) {
      const restart = await world.hooks.killBroker()
      try {
        await refused(() => world.open([world.a]), 'WIRE_UNREACHABLE', 'open fails')
      } finally {
        await restart()
      }
    },
  },
  {
    name: 'while the broker is away sending fails for the time being; then it goes on by itself',
    needs: ['killBroker'],
    async run(world) {
      const inbox = new Inbox(world)
      await world.receive(world.wire, inbox.deliver)
      const events = wireEvents(world, 30, 3)
      await sendAll(world.wire, events.slice(0, 10))
      await inbox.has(idsOf(events.slice(0, 10)), 'before')
      const restart = await world.hooks.killBroker()
      try {
        const results = await world.wire.send(events.slice(10, 20).map((event) => outgoing(event)))
        holds(
          results.every((result) => result?.retryable === true),
          'no event counts as sent, and each may be sent again',
        )
      } catch (error) {
        holds(isQuadrilleError(error, 'WIRE_UNREACHABLE'), `send says WIRE_UNREACHABLE, not ${String(error)}`)
      }
      await restart()
      await sendUntilTaken(world, world.wire, events.slice(10))
      await inbox.has(idsOf(events), 'the same wire and the same receiver go on, without being opened again')
    },
  },
]
