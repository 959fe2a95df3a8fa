/** Makes wires with one defect out of the good one: what the conformance cases must catch. */
import type { Env, ErrorCode } from '../../src/base/index.ts'
import type { WireHarness } from '../../src/wire/conformance/index.ts'
import { memoryHub, type MemoryHub, type MemoryHubOptions } from '../../src/wire/memory/index.ts'
import type { Deliver, OutgoingMessage, Receiver, Subscription, Wire } from '../../src/wire/wire.ts'
import { memoryHarness } from './memory-harness.ts'

/** What a defect may know. */
export interface Surroundings {
  readonly hub: MemoryHub
  readonly env: Env
  /** Counts from 1 for each place: the suite's own wire is the first. */
  readonly connection: number
  /** How often this wire was crashed, or the broker killed. */
  readonly deaths: () => number
}

/** A defect, and the cases that must fail because of it. */
export interface WrongWire {
  readonly name: string
  readonly catches: readonly string[]
  /** The code of the error that the case fails with, when it is the wire's own. */
  readonly code?: ErrorCode
  readonly hub?: MemoryHubOptions
  make(good: Wire, at: Surroundings): Partial<Wire>
}

/** The good wire, except for some methods. */
export function except(good: Wire, methods: Partial<Wire>): Wire {
  return {
    name: good.name,
    capabilities: good.capabilities,
    open: (context) => good.open(context),
    close: () => good.close(),
    send: (messages) => good.send(messages),
    receive: (subscription, deliver) => good.receive(subscription, deliver),
    health: () => good.health(),
    ...methods,
  }
}

/** A defect of `send`. */
export const sending = (
  send: (messages: readonly OutgoingMessage[]) => ReturnType<Wire['send']>,
): Pick<Wire, 'send'> => ({ send })

/** A wire that takes an error with this code for none. */
export const forgiving = (good: Wire, code: ErrorCode): Pick<Wire, 'send'> =>
  sending(async (messages) => (await good.send(messages)).map((result) => (result?.code === code ? null : result)))

/** A defect in what a subscription is understood to be. */
export const subscribing = (
  good: Wire,
  change: (subscription: Subscription) => Partial<Subscription>,
): Pick<Wire, 'receive'> => ({
  receive: (subscription, deliver) => good.receive({ ...subscription, ...change(subscription) }, deliver),
})

/** A defect between the broker and the ledger. */
export const delivering = (good: Wire, change: (deliver: Deliver) => Deliver): Pick<Wire, 'receive'> => ({
  receive: (subscription, deliver) => good.receive(subscription, change(deliver)),
})

/** A defect of the receiver. */
export const receiving = (good: Wire, change: (receiver: Receiver) => Partial<Receiver>): Pick<Wire, 'receive'> => ({
  async receive(subscription, deliver) {
    const receiver = await good.receive(subscription, deliver)
    return { stop: () => receiver.stop(), health: () => receiver.health(), ...change(receiver) }
  },
})

/** The harness of the good wire with the defect built in. */
export function wrongHarness(wrong: WrongWire): WireHarness {
  const options: MemoryHubOptions = { lock: 200, messageBytesMax: 10_000, dedupe: '2m', ...wrong.hub }
  const harness = memoryHarness(options)
  return {
    ...harness,
    name: wrong.name,
    patienceMs: 1_500,
    async create() {
      const hub = memoryHub(options)
      const place = await memoryHarness({}, hub).create()
      const goods = new Map<Wire, Wire>()
      const dead = new Set<Wire>()
      let kills = 0
      let connection = 0
      return {
        ...place,
        connect() {
          const good = hub.wire()
          connection += 1
          const deaths = () => kills + (dead.has(good) ? 1 : 0)
          const wire = except(good, wrong.make(good, { hub, env: place.env, connection, deaths }))
          goods.set(wire, good)
          return wire
        },
        hooks: {
          ...place.hooks,
          async crash(wire) {
            dead.add(goods.get(wire)!)
            hub.crash(goods.get(wire)!)
          },
          freeze: (wire) => place.hooks.freeze!(goods.get(wire)!),
          killBroker() {
            kills += 1
            return place.hooks.killBroker!()
          },
        },
      }
    },
  }
}
