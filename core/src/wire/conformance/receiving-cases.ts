/** Cases: what a subscription gets, and what it does not. */
import { sleep } from '../../base/index.ts'
import { holds, refused, same, soon } from '../../base/expectation.ts'
import type { Pattern } from '../../contracts/index.ts'
import { idsOf, Inbox, sendAll, sendUntilTaken, wireEvent, wireEvents } from './inbox.ts'
import type { WireCase } from './wire-world.ts'

const needsFrom = (from: 'beginning' | 'now') => (capabilities: { readonly from: readonly string[] }) =>
  capabilities.from.includes(from)
    ? null
    : `a subscription can not start ${from === 'now' ? 'now' : 'at the beginning'}`

/** Deliveries of this size are what "a few hundred" means. */
const deliveryMax = 500
/** More than this many messages in hand are not bounded. */
const outstandingMax = 2_000

/** Receiving. */
export const receivingCases: readonly WireCase[] = [
  {
    name: 'nothing that is sent after receive has resolved is missed',
    unless: needsFrom('now'),
    async run(world) {
      const inbox = new Inbox(world)
      await world.receive(await world.open(), inbox.deliver, { from: 'now' })
      const events = wireEvents(world, 20, 4)
      await sendAll(world.wire, events)
      await inbox.has(idsOf(events), 'everything from the first one on arrives')
    },
  },
  {
    name: 'a new subscription from the beginning gets what was sent before',
    unless: needsFrom('beginning'),
    async run(world) {
      const events = wireEvents(world, 20, 4)
      await sendAll(world.wire, events)
      const inbox = new Inbox(world)
      await world.receive(await world.open(), inbox.deliver, { from: 'beginning' })
      await inbox.has(idsOf(events), 'also what is older than the subscription')
    },
  },
  {
    name: 'a new subscription from now gets nothing that was sent before',
    unless: needsFrom('now'),
    async run(world) {
      const other = new Inbox(world)
      await world.receive(await world.open(), other.deliver, { service: world.otherService })
      const old = wireEvents(world, 5)
      await sendAll(world.wire, old)
      await other.has(idsOf(old), 'somebody who was there gets it')
      const inbox = new Inbox(world)
      await world.receive(await world.open(), inbox.deliver, { from: 'now' })
      const fresh = wireEvents(world, 5)
      await sendAll(world.wire, fresh)
      await inbox.has(idsOf(fresh), 'what comes later arrives')
      same(inbox.ids, idsOf(fresh), 'and nothing else')
    },
  },
  {
    name: 'where a subscription starts counts only once: it goes on where it was',
    async run(world) {
      const inbox = new Inbox(world)
      const events = wireEvents(world, 30, 3)
      for (const [round, from] of [world.capabilities.from[0]!, ...world.capabilities.from].entries()) {
        const receiver = await world.receive(await world.open(), inbox.deliver, { from })
        const some = events.slice(round * 10, round * 10 + 5)
        await sendAll(world.wire, some)
        await inbox.has(idsOf(some), 'what is sent while it runs')
        await receiver.stop()
        await sendAll(world.wire, events.slice(round * 10 + 5, round * 10 + 10))
      }
      await world.receive(await world.open(), inbox.deliver)
      const sent = events.slice(0, 10 * (world.capabilities.from.length + 1))
      await inbox.has(idsOf(sent), 'what was sent while nobody ran arrives afterwards')
      same(inbox.taken.length, sent.length, 'what was acknowledged before an orderly stop does not come again')
    },
  },
  {
    name: 'only the types that are wanted arrive',
    async run(world) {
      const [onlyA, both] = [new Inbox(world), new Inbox(world)]
      await world.receive(world.wire, onlyA.deliver)
      const types = [world.a, world.b].map((type) => ({ type, patterns: null }))
      await world.receive(world.wire, both.deliver, { service: world.otherService, types })
      const events = [world.a, world.b, world.a, world.b].map((type) => wireEvent(world, { type }))
      await sendAll(world.wire, events)
      await both.has(idsOf(events), 'a subscription to two types gets both')
      const wanted = idsOf(events.filter(({ type }) => type === world.a))
      await onlyA.has(wanted, 'a subscription to one type gets it')
      same(onlyA.ids, wanted, 'and no other type')
    },
  },
  {
    name: 'patterns are applied by the broker',
    unless: ({ filters }) => (filters ? null : 'it has no filters'),
    async run(world) {
      const [filtered, all] = [new Inbox(world), new Inbox(world)]
      const patterns: Pattern[] = [
        { status: 'failed' },
        { status: 'late', card: { kind: 'debit' }, paid: false, tries: 2 },
      ]
      await world.receive(world.wire, filtered.deliver, { types: [{ type: world.a, patterns }] })
      await world.receive(world.wire, all.deliver, { service: world.otherService })
      const data = [
        { status: 'failed' },
        { status: 'success' },
        { status: 'late', card: { kind: 'debit' }, paid: false, tries: 2 },
        { status: 'late', card: { kind: 'credit' }, paid: false, tries: 2 },
        { status: 'late', card: { kind: 'debit' }, paid: true, tries: 2 },
        { card: { kind: 'debit' }, paid: false, tries: 2 },
        { status: 'failed', more: 1 },
      ]
      const events = data.map((each) => wireEvent(world, { data: JSON.stringify(each) }))
      await sendAll(world.wire, events)
      await all.has(idsOf(events), 'who has no pattern gets all')
      const wanted = idsOf([0, 2, 6].map((index) => events[index]!))
      await filtered.has(wanted, 'what matches one of the patterns arrives')
      await filtered.staysSilent('and nothing more')
      same(filtered.ids, wanted, 'what matches none does not')
    },
  },
  {
    name: 'several services each get everything',
    async run(world) {
      const inboxes = [new Inbox(world), new Inbox(world), new Inbox(world)]
      for (const [index, inbox] of inboxes.entries())
        await world.receive(await world.open(), inbox.deliver, { service: `${world.service}-${index}` })
      const events = wireEvents(world, 50, 7)
      await sendAll(world.wire, events)
      for (const inbox of inboxes) await inbox.has(idsOf(events), 'each service gets every event')
    },
  },
  {
    name: 'receivers of one service share the work',
    async run(world) {
      const inbox = new Inbox(world)
      for (let process = 0; process < 2; process++) await world.receive(await world.open(), inbox.deliver)
      const events = wireEvents(world, 200, 20)
      await sendAll(world.wire, events, 20)
      await inbox.has(idsOf(events), 'together they get every event')
      await inbox.staysSilent('and nothing comes late')
      holds(
        inbox.taken.length < events.length * 1.5,
        `each event goes to one of them; ${inbox.taken.length} deliveries of ${events.length} events`,
      )
    },
  },
  {
    name: 'what the ledger refuses comes again',
    async run(world) {
      const inbox = new Inbox(world)
      inbox.refuseNext(3)
      await world.receive(world.wire, inbox.deliver)
      const events = wireEvents(world, 40, 4)
      // Without a broker in between, the sender is told, and sends again.
      await sendUntilTaken(world, world.wire, events)
      await inbox.has(idsOf(events), 'nothing is acknowledged whose delivery has failed')
    },
  },
  {
    name: 'nothing is acknowledged before its delivery has ended',
    needs: ['crash'],
    async run(world) {
      const dying = new Inbox(world)
      dying.close()
      const wire = await world.open()
      await world.receive(wire, dying.deliver)
      const events = wireEvents(world, 40, 4)
      await sendAll(world.wire, events)
      await dying.busy()
      await sleep(world.env, world.silenceMs)
      await world.hooks.crash(wire)
      const inbox = new Inbox(world)
      await world.receive(await world.open(), inbox.deliver)
      await inbox.has(idsOf(events), 'everything that was in the hands of the dead one goes to another')
      dying.open()
    },
  },
  {
    name: 'bytes that are no event are handed on as they are',
    needs: ['inject'],
    async run(world) {
      const inbox = new Inbox(world)
      await world.receive(world.wire, inbox.deliver)
      const bodies = [
        new Uint8Array([0, 255, 1, 254, 13, 10, 0]),
        new TextEncoder().encode('{ "not": "finished'),
        new TextEncoder().encode('Grüße'),
      ]
      const before = wireEvent(world)
      await sendAll(world.wire, [before])
      for (const body of bodies) await world.hooks.inject({ type: world.a, service: world.service, body })
      const behind = wireEvent(world)
      await sendAll(world.wire, [behind])
      await inbox.has([before.id, behind.id], 'the events around them arrive')
      const foreign = () => inbox.taken.filter(({ event }) => event === null)
      const arrived = () => foreign().map(({ message }) => [...message.body])
      await soon(world, () => arrived().length >= bodies.length, 'they arrive too')
      const texts = new Set(arrived().map(String))
      for (const body of bodies) holds(texts.has(String([...body])), 'byte by byte as they were sent')
      for (const { message } of foreign()) same(message.channel, world.a, 'and say under which type they came')
    },
  },
  {
    name: 'a slow ledger gets no more than it can take',
    async run(world) {
      const inbox = new Inbox(world)
      inbox.close()
      await world.receive(world.wire, inbox.deliver)
      const events = wireEvents(world, 3_000, 50)
      await sendAll(world.wire, events, 250)
      await inbox.busy()
      await sleep(world.env, world.silenceMs)
      holds(inbox.inHand <= outstandingMax, `no more than ${outstandingMax} messages are in hand, not ${inbox.inHand}`)
      inbox.open()
      await inbox.has(idsOf(events), 'all arrive in the end')
      const most = Math.max(...inbox.sizes)
      holds(most <= deliveryMax, `a delivery has at most ${deliveryMax} messages, not ${most}`)
    },
  },
  {
    name: 'while the ledger is slow, the rest stays at the broker',
    needs: ['outstanding'],
    async run(world) {
      const inbox = new Inbox(world)
      await (await world.receive(world.wire, inbox.deliver)).stop()
      const events = wireEvents(world, 4_000, 50)
      await sendAll(world.wire, events, 250)
      inbox.close()
      await world.receive(world.wire, inbox.deliver)
      await inbox.busy()
      await sleep(world.env, world.silenceMs)
      const count = await world.hooks.outstanding({ service: world.service, types: [world.a] })
      holds(count <= outstandingMax, `no more than ${outstandingMax} messages have been fetched, not ${count}`)
      inbox.open()
      await inbox.has(idsOf(events), 'all arrive in the end')
    },
  },
  {
    name: 'a subscription whose messages were dropped refuses to go on as if nothing was missing',
    needs: ['dropUnread'],
    async run(world) {
      const inbox = new Inbox(world)
      await (await world.receive(world.wire, inbox.deliver)).stop()
      await sendAll(world.wire, wireEvents(world, 10, 2))
      await world.hooks.dropUnread({ service: world.service, types: [world.a] })
      const again = await world.open()
      await refused(() => world.receive(again, inbox.deliver), 'WIRE_POSITION_LOST', 'the gap is an error')
      await world.receive(again, inbox.deliver, { lost: 'accept' })
      const fresh = wireEvents(world, 5)
      await sendAll(world.wire, fresh)
      await inbox.has(idsOf(fresh), 'once the gap is accepted it goes on')
    },
  },
  {
    name: 'a subscription that the ledger knows and the broker has forgotten is refused, and not made anew',
    needs: ['forget'],
    async run(world) {
      const inbox = new Inbox(world)
      await (await world.receive(world.wire, inbox.deliver)).stop()
      await sendAll(world.wire, wireEvents(world, 10, 2))
      await world.hooks.forget({ service: world.service, types: [world.a] })
      const again = await world.open()
      const known = [world.a]
      await refused(() => world.receive(again, inbox.deliver, { known }), 'WIRE_POSITION_LOST', 'the loss is an error')
      await world.receive(again, inbox.deliver, { known, lost: 'accept' })
      const fresh = wireEvents(world, 5)
      await sendAll(again, fresh)
      await inbox.has(idsOf(fresh), 'once the loss is accepted it goes on')
    },
  },
]
