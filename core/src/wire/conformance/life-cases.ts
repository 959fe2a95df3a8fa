/** Cases: stopping, outages, and what health says. */
import { sleep } from '../../base/index.ts'
import { holds, same, soon } from '../../base/expectation.ts'
import type { Receiver } from '../wire.ts'
import { idsOf, Inbox, outgoing, sendAll, sendUntilTaken, wireEvent, wireEvents } from './inbox.ts'
import type { WireCase, WireWorld } from './wire-world.ts'

/** Asks health until it says what it must. */
async function becomes(world: WireWorld, ask: () => Promise<boolean>, promise: string): Promise<void> {
  const began = world.env.elapsed()
  while (!(await ask())) {
    holds(world.env.elapsed() - began < world.patienceMs, promise)
    await sleep(world.env, 50)
  }
}

const lagOf = async (receiver: Receiver): Promise<number | null> => (await receiver.health()).lag

/** Stopping. */
export const stopCases: readonly WireCase[] = [
  {
    name: 'stop waits for the delivery in hand, and nothing is delivered after it',
    async run(world) {
      const inbox = new Inbox(world)
      inbox.close()
      const receiver = await world.receive(world.wire, inbox.deliver)
      const events = wireEvents(world, 10, 1)
      await sendAll(world.wire, events)
      await inbox.busy()
      let stopped = false
      const stopping = receiver.stop().then(() => (stopped = true))
      await sleep(world.env, 50)
      holds(!stopped, 'it has not stopped while a delivery is under way')
      inbox.open()
      await stopping
      await receiver.stop()
      same(inbox.inHand, 0, 'no delivery is under way')
      const taken = inbox.ids
      const before = inbox.taken.length
      await sendAll(world.wire, wireEvents(world, 10, 1))
      await inbox.staysSilent('a receiver that was stopped delivers nothing', before)
      await world.receive(await world.open(), inbox.deliver)
      await inbox.has(idsOf(events), 'the rest comes to the next one')
      const again = inbox.taken.slice(taken.length).filter(({ event }) => event && taken.includes(event.id))
      same(again.length, 0, 'what was in hand has been acknowledged')
    },
  },
  {
    name: 'a stopped receiver gives back at once what it had fetched',
    async run(world) {
      const slow = new Inbox(world)
      slow.close()
      const receiver = await world.receive(await world.open(), slow.deliver)
      const events = wireEvents(world, 1_500, 20)
      await sendAll(world.wire, events, 250)
      await slow.busy()
      const stopping = receiver.stop()
      slow.open()
      await stopping
      const inbox = new Inbox(world)
      await world.receive(await world.open(), inbox.deliver)
      const have = () => new Set([...slow.ids, ...inbox.ids]).size
      // A slow broker takes its time, but is never silent for as long as a lease is.
      for (let before = have(); before < events.length; before = have()) {
        const comes = () => have() > before
        await soon(
          { ...world, patienceMs: backMs },
          comes,
          'nothing is lost, and others need not wait for a lease to end',
        )
      }
    },
  },
  {
    name: 'closing a wire stops its receivers',
    async run(world) {
      const inbox = new Inbox(world)
      const wire = await world.open()
      await world.receive(wire, inbox.deliver)
      await wire.close()
      const events = wireEvents(world, 5)
      await sendAll(world.wire, events)
      await inbox.staysSilent('nothing is delivered after close', 0)
      await world.receive(await world.open(), inbox.deliver)
      await inbox.has(idsOf(events), 'it waits for the next one')
    },
  },
  {
    name: 'a receiver that dies in the middle loses nothing',
    needs: ['crash'],
    async run(world) {
      const inbox = new Inbox(world)
      const events = wireEvents(world, 900, 20)
      const wire = await world.open()
      await world.receive(wire, inbox.deliver)
      await sendAll(world.wire, events.slice(0, 600), 100)
      await soon(world, () => inbox.ids.length > 0, 'some arrive')
      await world.hooks.crash(wire)
      await sendAll(world.wire, events.slice(600), 100)
      await world.receive(await world.open(), inbox.deliver)
      await inbox.has(idsOf(events), 'the next one gets the rest')
    },
  },
]

/** Longer than any orderly handing back, shorter than leases: so long nothing may come. */
const backMs = 5_000

/** Outages. */
export const outageCases: readonly WireCase[] = [
  {
    name: 'a receiver goes on by itself after the broker was killed, and says so',
    needs: ['killBroker'],
    async run(world) {
      const inbox = new Inbox(world)
      await world.receive(await world.open(), inbox.deliver)
      const events = wireEvents(world, 60, 5)
      await sendAll(world.wire, events.slice(0, 20))
      await inbox.has(idsOf(events.slice(0, 20)), 'before')
      const restart = await world.hooks.killBroker()
      await sleep(world.env, world.silenceMs)
      await restart()
      await sendUntilTaken(world, world.wire, events.slice(20))
      await inbox.has(idsOf(events), 'after the restart everything flows again')
      const kinds = new Set(world.notices.map(({ kind }) => kind))
      holds(kinds.has('lost') && kinds.has('restored'), 'it was noticed as lost, and then as restored')
    },
  },
  {
    name: 'a subscription that somebody removes at the broker is made again, and the loss is told',
    needs: ['removeSubscription'],
    async run(world) {
      const inbox = new Inbox(world)
      await world.receive(await world.open(), inbox.deliver)
      await sendAll(world.wire, wireEvents(world, 5))
      await soon(world, () => inbox.ids.length === 5, 'before')
      await world.hooks.removeSubscription({ service: world.service, types: [world.a] })
      const told = () => world.notices.some(({ kind, service }) => kind === 'lost' && service === world.service)
      await becomes(
        world,
        async () => {
          await world.wire.send([outgoing(wireEvent(world, { key: 'probe' }))]).catch(() => {})
          return told() && inbox.idsOf('probe').length > 0
        },
        'it is told as lost, and events arrive again',
      )
      const events = wireEvents(world, 20, 3)
      await sendUntilTaken(world, world.wire, events)
      await inbox.has(idsOf(events), 'from then on nothing is missed')
    },
  },
  {
    name: 'a connection that is frozen is noticed, and everything flows when it thaws',
    needs: ['freeze'],
    async run(world) {
      const inbox = new Inbox(world)
      const wire = await world.open()
      const receiver = await world.receive(wire, inbox.deliver)
      const first = wireEvents(world, 5)
      await sendAll(world.wire, first)
      await inbox.has(idsOf(first), 'before')
      const thaw = await world.hooks.freeze(wire)
      const events = wireEvents(world, 20, 3)
      await sendAll(world.wire, events)
      const told = () => world.notices.some(({ kind }) => kind === 'lost')
      await becomes(
        world,
        async () =>
          told() || (await receiver.health()).problems.length > 0 || (await wire.health()).problems.length > 0,
        'one that is connected, behind, and gets nothing, has a problem',
      )
      await thaw()
      await inbox.has(idsOf(events), 'what came meanwhile arrives')
    },
  },
  {
    name: 'a send over a frozen connection does not hang for ever',
    needs: ['freeze'],
    async run(world) {
      const inbox = new Inbox(world)
      await world.receive(await world.open(), inbox.deliver)
      const thaw = await world.hooks.freeze(world.wire)
      let ended = false
      const events = wireEvents(world, 3)
      const sending = world.wire.send(events.map((event) => outgoing(event))).then(
        (results) => {
          ended = true
          return results.every((result) => result?.retryable === true)
        },
        () => (ended = true),
      )
      await soon(world, () => ended, 'it ends with an error that can be retried')
      holds(await sending, 'no event counts as sent')
      await thaw()
      await sendUntilTaken(world, world.wire, events)
      await inbox.has(idsOf(events), 'sent again, they arrive')
    },
  },
]

/** Health. */
export const healthCases: readonly WireCase[] = [
  {
    name: 'an idle receiver has no problem',
    async run(world) {
      const inbox = new Inbox(world)
      const receiver = await world.receive(world.wire, inbox.deliver)
      const events = wireEvents(world, 5)
      await sendAll(world.wire, events)
      await inbox.has(idsOf(events), 'it works')
      await sleep(world.env, world.silenceMs)
      same((await receiver.health()).problems, [], 'nothing to do is no problem')
      same((await world.wire.health()).problems, [], 'neither for the wire')
    },
  },
  {
    name: 'the lag counts what is not acknowledged, where the broker says so',
    async run(world) {
      const inbox = new Inbox(world)
      inbox.close()
      const receiver = await world.receive(world.wire, inbox.deliver)
      await sendAll(world.wire, wireEvents(world, 12, 3))
      await inbox.busy()
      if ((await lagOf(receiver)) === null) return
      await becomes(world, async () => (await lagOf(receiver)) === 12, 'everything is still to be acknowledged')
      inbox.open()
      await becomes(world, async () => (await lagOf(receiver)) === 0, 'nothing is left')
    },
  },
]
