/** Cases: events of one key stay in order. */
import { sleep } from '../../base/index.ts'
import { same } from '../../base/expectation.ts'
import type { EventRecord } from '../../contracts/index.ts'
import { idsOf, Inbox, outgoing, sendAll, sendUntilTaken, wireEvents } from './inbox.ts'
import type { WireCase } from './wire-world.ts'

const ordered: WireCase['unless'] = ({ order }) => (order === 'none' ? 'it keeps no order' : null)
const always: WireCase['unless'] = ({ order }) =>
  order === 'always' ? null : 'it keeps the order for one receiver at a time only'

function inOrder(inbox: Inbox, events: readonly EventRecord[], promise: string): void {
  for (const [key, sent] of Map.groupBy(events, (event) => event.key)) same(inbox.idsOf(key), idsOf(sent), promise)
}

/** Order. */
export const orderCases: readonly WireCase[] = [
  {
    name: 'events of one key arrive in the order in which they were sent',
    unless: ordered,
    async run(world) {
      const inbox = new Inbox(world)
      await world.receive(world.wire, inbox.deliver)
      const events = wireEvents(world, 400, 7)
      await sendAll(world.wire, events.slice(0, 300), 60)
      await sendAll(world.wire, events.slice(300, 320), 1)
      await sendAll(world.wire, events.slice(320), 13)
      await inbox.has(idsOf(events), 'all arrive')
      inOrder(inbox, events, 'the order of each key is that of sending')
    },
  },
  {
    name: 'several calls of send at a time, each of other keys, are answered each and keep the order of each key',
    async run(world) {
      const inbox = new Inbox(world)
      await world.receive(world.wire, inbox.deliver)
      const events = wireEvents(world, 240, 6)
      const sendLane = (lane: number) => {
        const own = events.filter((_, index) => (index % 6) % 3 === lane)
        return sendAll(world.wire, own, 10)
      }
      await Promise.all([0, 1, 2].map(sendLane))
      await inbox.has(idsOf(events), 'all arrive')
      if (world.capabilities.order !== 'none') inOrder(inbox, events, 'the order of each key is that of sending')
    },
  },
  {
    name: 'events of one key stay in order when they are of several types',
    unless: ordered,
    async run(world) {
      const inbox = new Inbox(world)
      await world.receive(world.wire, inbox.deliver, {
        types: [world.a, world.b].map((type) => ({ type, patterns: null })),
      })
      const events = wireEvents(world, 60, 3).map((event, index) => ({
        ...event,
        type: index % 2 === 0 ? world.a : world.b,
      }))
      await sendAll(world.wire, events, 20)
      await inbox.has(idsOf(events), 'all arrive')
      for (const type of [world.a, world.b]) {
        const sent = events.filter((event) => event.type === type)
        const arrived = inbox.ids.filter((id) => sent.some((event) => event.id === id))
        for (const key of new Set(sent.map((event) => event.key))) {
          const wanted = idsOf(sent.filter((event) => event.key === key))
          const got = arrived.filter((id) => wanted.includes(id))
          same(got, wanted, 'within each type the order of each key is that of sending')
        }
      }
    },
  },
  {
    name: 'events of one key stay in order when the ledger refuses deliveries',
    unless: ordered,
    async run(world) {
      const inbox = new Inbox(world)
      await world.receive(world.wire, inbox.deliver)
      const events = wireEvents(world, 120, 3)
      for (let at = 0; at < events.length; at += 20) {
        inbox.refuseNext(2)
        for (let from = at; from < at + 20; from += 5)
          await sendUntilTaken(world, world.wire, events.slice(from, from + 5))
        await inbox.has(idsOf(events.slice(0, at + 20)), 'what was refused comes again')
      }
      inOrder(inbox, events, 'a later event does not overtake one that comes again')
    },
  },
  {
    name: 'an event that can not be sent does not turn the others of its key round',
    unless: ({ order, messageBytesMax }) =>
      order === 'none' ? 'it keeps no order' : messageBytesMax === null ? 'it knows no largest message' : null,
    async run(world) {
      const inbox = new Inbox(world)
      await world.receive(world.wire, inbox.deliver)
      const events = wireEvents(world, 40, 2)
      const max = world.capabilities.messageBytesMax!
      const large = { ...events[9]!, id: world.env.uuid(), data: JSON.stringify('x'.repeat(max)) }
      const batch = [...events.slice(0, 20), large, ...events.slice(20)]
      const results = await world.wire.send(batch.map((event) => outgoing(event)))
      same(
        results.map((result) => result?.code ?? null),
        batch.map((event) => (event === large ? 'WIRE_MESSAGE_REFUSED' : null)),
        'it alone is refused',
      )
      await inbox.has(idsOf(events), 'the others arrive')
      inOrder(inbox, events, 'the order of each key is that of sending')
    },
  },
  {
    name: 'events of one key stay in order with several receivers that come and go',
    unless: always,
    async run(world) {
      const inbox = new Inbox(world)
      const first = await world.receive(await world.open(), inbox.deliver)
      const events = wireEvents(world, 600, 11)
      await sendAll(world.wire, events.slice(0, 150), 30)
      const second = await world.receive(await world.open(), inbox.deliver)
      await sendAll(world.wire, events.slice(150, 300), 30)
      const third = await world.receive(await world.open(), inbox.deliver)
      await sendAll(world.wire, events.slice(300, 400), 30)
      await first.stop()
      await sendAll(world.wire, events.slice(400, 500), 30)
      await second.stop()
      await sendAll(world.wire, events.slice(500), 30)
      await inbox.has(idsOf(events), 'nothing is lost on the way from one to the other')
      inOrder(inbox, events, 'all events of a key go to the same receiver at a time')
      await third.stop()
    },
  },
  {
    name: 'events of one key stay in order when one of several receivers dies',
    needs: ['crash'],
    unless: always,
    async run(world) {
      const inbox = new Inbox(world)
      const [dying, living] = [await world.open(), await world.open()]
      await world.receive(dying, inbox.deliver)
      await world.receive(living, inbox.deliver)
      const events = wireEvents(world, 300, 11)
      await sendAll(world.wire, events.slice(0, 150), 30)
      await sleep(world.env, 50)
      await world.hooks.crash(dying)
      await sendAll(world.wire, events.slice(150), 30)
      await inbox.has(idsOf(events), 'the living one gets what the dead one had')
      inOrder(inbox, events, 'in order')
    },
  },
]
