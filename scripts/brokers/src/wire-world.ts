/** What the tests of wires on real brokers share: wires that end with the test, and what may happen to any of them. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { silentLogger, systemEnv } from 'quadrille'
import type { IncomingMessage, Receiver, Subscription, Wire, WireContext, WireNotice } from 'quadrille'
import type { Broker } from './process.ts'
import { numbered, sendSurely, Taken, until } from './wire-load.ts'

/** A corner of a broker that a test has for itself. */
interface Corner<Options> {
  connect(more?: Options): Wire
  remove(): Promise<void>
}

/** Wires at one corner. */
export interface TestWorld<Place> {
  readonly place: Place
  readonly notices: readonly WireNotice[]
  /** A new wire, open. */
  open(more?: object): Promise<Wire>
  /** Receives for the service `shop.orders`, type `a`, from where the wire can that is earliest, unless `more` says otherwise. */
  receive(wire: Wire, taken: Pick<Taken, 'deliver'>, more?: Partial<Subscription>): Promise<Receiver>
}

/** A context for a wire of which nothing is expected. */
export const quietContext: WireContext = { env: systemEnv, log: silentLogger, sends: [], notice: () => {} }

/** Everything is closed, then removed, when the test ends. */
export function testWorld<Place extends Corner<never>>(test: TestContext, place: Place): TestWorld<Place> {
  const notices: WireNotice[] = []
  const wires: Wire[] = []
  test.after(async () => {
    for (const wire of wires) await wire.close()
    await place.remove()
  })
  return {
    place,
    notices,
    async open(more) {
      const wire = place.connect(more as never)
      wires.push(wire)
      await wire.open({ ...quietContext, sends: ['a', 'b'], notice: (one) => notices.push(one) })
      return wire
    },
    receive(wire, taken, more = {}) {
      const from = wire.capabilities.from[0]!
      const types = [{ type: 'a', patterns: null }]
      const subscription = { service: 'shop.orders', types, from, instance: systemEnv.uuid(), ...more }
      return wire.receive(subscription, taken.deliver)
    },
  }
}

/** The broker is killed so many times while events are sent and received: all arrive, in the order of their keys. */
export async function killedUnderLoad(world: TestWorld<unknown>, broker: Broker, kills: number): Promise<void> {
  const [sender, reader] = [await world.open(), await world.open()]
  const taken = new Taken()
  await world.receive(reader, taken)
  const [total, batch] = [3_000, 100]
  const sending = (async () => {
    for (let n = 0; n < total; n += batch) await sendSurely(sender, numbered(batch, n))
  })()
  for (let killed = 0; killed < kills; killed++) {
    await until(() => taken.distinct > (killed + 1) * 300, 'events flow')
    await broker.kill()
    await broker.restart()
  }
  await sending
  await until(() => taken.distinct === total, `all arrive; ${taken.distinct} have`)
  taken.assertInOrder()
}

/** A receiver dies with a delivery in hand and more behind it; the next one gets all, and the order of each key holds. */
export async function diesHoldingSome(world: TestWorld<unknown>, kill: (wire: Wire) => Promise<void>): Promise<void> {
  const [sender, dying, next] = [await world.open(), await world.open(), await world.open()]
  const taken = new Taken()
  const never = Promise.withResolvers<void>()
  let [dies, holds] = [false, false]
  const deliver = async (messages: readonly IncomingMessage[]) => {
    if (!dies) return taken.deliver(messages)
    holds = true
    return never.promise
  }
  await world.receive(dying, { deliver })
  await sendSurely(sender, numbered(50))
  await until(() => taken.distinct === 50, 'it has some')
  dies = true
  try {
    for (let n = 50; n < 400; n += 50) await sendSurely(sender, numbered(50, n))
    await until(() => holds, 'it holds some')
    await kill(dying)
    // These could be read at once; those that the dead one held, when its leases end.
    await sendSurely(sender, numbered(200, 400))
    await world.receive(next, taken)
    await until(() => taken.distinct === 600, 'all arrive')
    taken.assertInOrder()
  } finally {
    // Its wire waits for it when it is closed.
    never.resolve()
  }
}

/** An open wire sends an event, and receives it. */
export async function assertCarries(wire: Wire): Promise<void> {
  const taken = new Taken()
  const types = [{ type: 'a', patterns: null }]
  const from = wire.capabilities.from[0]!
  const receiver = await wire.receive({ service: 'carried', types, from, instance: systemEnv.uuid() }, taken.deliver)
  await sendSurely(wire, numbered(1))
  await until(() => taken.distinct === 1, 'it arrives')
  assert.deepEqual((await wire.health()).problems, [])
  await receiver.stop()
}
