/** Wires with one defect each. */
import { isQuadrilleError, sleep } from '../../src/base/index.ts'
import type { IncomingMessage, OutgoingMessage, Wire } from '../../src/wire/wire.ts'
import { wrongInSizes } from './wrong-sizes.ts'
import {
  delivering,
  forgiving,
  receiving,
  sending,
  subscribing,
  type Surroundings,
  type WrongWire,
} from './wrong-wire.ts'

/** Resolves at once; the real thing happens later, if nothing comes in between. */
const later = (at: Surroundings, ms: number, act: () => Promise<unknown>): void => {
  const deaths = at.deaths()
  at.env.timer(ms, () => {
    if (at.deaths() === deaths) act().catch(() => {})
  })
}

const reversed = async (good: Wire, messages: readonly OutgoingMessage[]) =>
  (await good.send(messages.toReversed())).toReversed()

const wrongInSending: readonly WrongWire[] = [
  {
    name: 'it declares what it can not do',
    catches: ['declares what the harness says'],
    make: (good) => ({ capabilities: { ...good.capabilities, dedupeMs: 1 } }),
  },
  {
    name: 'one answer for the whole batch',
    catches: ['send answers for each message, in the order of the messages'],
    make: (good) => sending(async (messages) => (await good.send(messages)).slice(0, 1)),
  },
  {
    name: 'tracestate is not carried',
    catches: ['an event arrives as it was sent: attributes, extensions, trace context, Unicode'],
    make: (good) =>
      delivering(good, (deliver) => (messages) => {
        const bare = messages.map(({ attributes, body }): IncomingMessage => {
          const { tracestate: _, ...rest } = attributes ?? {}
          return { attributes: rest as Record<string, string>, body }
        })
        return deliver(bare)
      }),
  },
  {
    name: 'the body goes through Latin-1',
    catches: ['an event arrives as it was sent: attributes, extensions, trace context, Unicode'],
    make: (good) =>
      delivering(good, (deliver) => (messages) => {
        const latin = messages.map(({ attributes, body }) => ({
          attributes,
          body: new Uint8Array(Buffer.from(Buffer.from(body).toString('utf8'), 'latin1')),
        }))
        return deliver(latin)
      }),
  },
  {
    name: 'send resolves before the broker has anything',
    catches: [
      'an event that the broker has survives the end of its sender',
      'an event that the broker has survives a kill of the broker',
    ],
    make: (good, at) =>
      sending(async (messages) => {
        later(at, 30, () => good.send(messages))
        return messages.map(() => null)
      }),
  },
  {
    name: 'opening empties what is there',
    catches: ['opening again changes nothing that exists'],
    make: (good, { hub }) => ({
      async open(context) {
        await good.open(context)
        hub.dropAll()
      },
      receive: (subscription, deliver) => good.receive({ ...subscription, lost: 'accept' }, deliver),
    }),
  },
  {
    name: 'only announced types are sent',
    catches: ['a type that was not announced at open can be sent too'],
    make(good) {
      let sends: readonly string[] = []
      return {
        open(context) {
          sends = context.sends
          return good.open(context)
        },
        async send(messages) {
          await good.send(messages.filter(({ event }) => sends.includes(event.type)))
          return messages.map(() => null)
        },
      }
    },
  },
  {
    name: 'what nobody receives is dropped in silence',
    catches: ['an event for which nobody has subscribed is an error, until somebody has'],
    hub: { reportsUnroutable: true },
    make: (good) => forgiving(good, 'WIRE_UNROUTABLE'),
  },
  {
    name: 'the id of the event is its dedupe id',
    catches: ['an event that is sent twice is no error, and one that is redriven arrives again'],
    make: (good) => sending((messages) => good.send(messages.map(({ event }) => ({ event, dedupeId: event.id })))),
  },
  {
    name: 'whatever can not be reached counts as sent',
    catches: [
      'a wire that is closed refuses to send',
      'while the broker is away sending fails for the time being; then it goes on by itself',
    ],
    make: (good) =>
      sending(async (messages) => {
        try {
          return await good.send(messages)
        } catch {
          return messages.map(() => null)
        }
      }),
  },
  {
    name: 'open does not look whether anybody is there',
    catches: ['a broker that can not be reached is an error of open, that says so'],
    make: (good) => ({ open: (context) => good.open(context).catch(() => {}) }),
  },
]

const wrongInReceiving: readonly WrongWire[] = [
  {
    name: 'receive resolves before the subscription is there',
    catches: ['nothing that is sent after receive has resolved is missed'],
    make: (good, at) => ({
      async receive(subscription, deliver) {
        later(at, 30, () => good.receive(subscription, deliver))
        return { stop: async () => {}, health: async () => ({ lag: null, problems: [] }) }
      },
    }),
  },
  {
    name: 'everybody starts now',
    catches: ['a new subscription from the beginning gets what was sent before'],
    make: (good) => subscribing(good, () => ({ from: 'now' })),
  },
  {
    name: 'everybody starts at the beginning',
    catches: ['a new subscription from now gets nothing that was sent before'],
    make: (good) => subscribing(good, () => ({ from: 'beginning' })),
  },
  {
    name: 'every process has a subscription of its own',
    catches: [
      'where a subscription starts counts only once: it goes on where it was',
      'receivers of one service share the work',
    ],
    make: (good) => subscribing(good, ({ service, instance }) => ({ service: `${service}/${instance}` })),
  },
  {
    name: 'every type arrives',
    catches: ['only the types that are wanted arrive'],
    make: (good) =>
      subscribing(good, ({ types }) => ({
        types: [...types, { type: types[0]!.type.replace(/a$/, 'b'), patterns: null }],
      })),
  },
  {
    name: 'patterns are ignored',
    catches: ['patterns are applied by the broker'],
    make: (good) => subscribing(good, ({ types }) => ({ types: types.map(({ type }) => ({ type, patterns: null })) })),
  },
  {
    name: 'all services are one',
    catches: ['several services each get everything'],
    make: (good) => subscribing(good, () => ({ service: 'everybody' })),
  },
  {
    name: 'what the ledger refuses is acknowledged',
    catches: ['what the ledger refuses comes again'],
    make: (good) => delivering(good, (deliver) => (messages) => deliver(messages).catch(() => {})),
  },
  {
    name: 'messages are acknowledged first',
    catches: [
      'nothing is acknowledged before its delivery has ended',
      'a receiver that dies in the middle loses nothing',
    ],
    make: (good, at) => {
      let deliveries = 0
      return delivering(good, (deliver) => async (messages) => {
        deliveries += 1
        later(at, 50 * deliveries, () => deliver(messages))
      })
    },
  },
  {
    name: 'bytes that are no event are dropped',
    catches: ['bytes that are no event are handed on as they are'],
    make: (good) =>
      delivering(good, (deliver) => (messages) => deliver(messages.filter(({ attributes }) => attributes !== null))),
  },
  {
    name: 'deliveries are not waited for',
    catches: ['a slow ledger gets no more than it can take'],
    make: (good) => delivering(good, (deliver) => async (messages) => void deliver(messages).catch(() => {})),
  },
  {
    name: 'it fetches everything at once',
    catches: ['while the ledger is slow, the rest stays at the broker', 'a slow ledger gets no more than it can take'],
    hub: { batchMax: 10_000 },
    make: () => ({}),
  },
  {
    name: 'a gap is passed over',
    catches: [
      'a subscription whose messages were dropped refuses to go on as if nothing was missing',
      'a subscription that the ledger knows and the broker has forgotten is refused, and not made anew',
    ],
    make: (good) => subscribing(good, () => ({ lost: 'accept' })),
  },
  {
    name: 'it does not ask what the ledger knows',
    catches: ['a subscription that the ledger knows and the broker has forgotten is refused, and not made anew'],
    make: (good) => subscribing(good, () => ({ known: [] })),
  },
]

const wrongInOrder: readonly WrongWire[] = [
  {
    name: 'a batch is sent backwards',
    catches: [
      'events of one key arrive in the order in which they were sent',
      'events of one key stay in order when they are of several types',
    ],
    make: (good) => sending((messages) => reversed(good, messages)),
  },
  {
    name: 'a call of send that comes while another one is under way is answered with it, and its messages are forgotten',
    catches: ['several calls of send at a time, each of other keys, are answered each and keep the order of each key'],
    make: (good, { env }) => {
      let busy = false
      return sending(async (messages) => {
        if (busy) return messages.map(() => null)
        busy = true
        await sleep(env, 5)
        return good.send(messages).finally(() => (busy = false))
      })
    },
  },
  {
    name: 'what is refused goes to the back',
    catches: ['events of one key stay in order when the ledger refuses deliveries'],
    make: (good, { env }) =>
      delivering(good, (deliver) => async (messages) => {
        const again = async (): Promise<void> => {
          await sleep(env, 30)
          await deliver(messages).catch(again)
        }
        await deliver(messages).catch(() => void again())
      }),
  },
  {
    name: 'behind a message that can not be sent the order is lost',
    catches: ['an event that can not be sent does not turn the others of its key round'],
    make: (good) =>
      sending((messages) =>
        messages.some(({ event }) => event.data.length > 10_000) ? reversed(good, messages) : good.send(messages),
      ),
  },
  {
    name: 'one of the receivers works on what it has given away',
    catches: [
      'events of one key stay in order with several receivers that come and go',
      'events of one key stay in order when one of several receivers dies',
    ],
    make: (good, { env, connection, deaths }) => {
      if (connection !== 2) return {}
      // Long after it died, where it does, and what it held was given to others.
      const late = async () => {
        for (let waits = 0; deaths() === 0 && waits < 50; waits++) await sleep(env, 20)
        await sleep(env, 1_000)
      }
      return delivering(good, (deliver) => async (messages) => {
        late()
          .then(() => deliver(messages))
          .catch(() => {})
      })
    },
  },
]

const wrongInLife: readonly WrongWire[] = [
  {
    name: 'stop does not wait',
    catches: ['stop waits for the delivery in hand, and nothing is delivered after it'],
    make: (good) => receiving(good, (receiver) => ({ stop: async () => void receiver.stop() })),
  },
  {
    name: 'stop just goes away',
    catches: ['a stopped receiver gives back at once what it had fetched'],
    hub: { lock: 8_000 },
    make: (good, { hub }) => receiving(good, () => ({ stop: async () => hub.crash(good) })),
  },
  {
    name: 'close forgets the receivers',
    catches: ['closing a wire stops its receivers'],
    make: () => ({ close: async () => {} }),
  },
  {
    name: 'it notices nothing',
    catches: [
      'a receiver goes on by itself after the broker was killed, and says so',
      'a subscription that somebody removes at the broker is made again, and the loss is told',
    ],
    make: (good) => ({ open: (context) => good.open({ ...context, notice: () => {} }) }),
  },
  {
    name: 'it always says that it is well',
    catches: ['a connection that is frozen is noticed, and everything flows when it thaws'],
    make: (good) => receiving(good, () => ({ health: async () => ({ lag: null, problems: [] }) })),
  },
  {
    name: 'a send waits for ever',
    catches: ['a send over a frozen connection does not hang for ever'],
    make: (good) =>
      sending(async (messages) => {
        try {
          return await good.send(messages)
        } catch (error) {
          if (isQuadrilleError(error, 'WIRE_UNREACHABLE')) return new Promise(() => {})
          throw error
        }
      }),
  },
  {
    name: 'idle is a problem',
    catches: ['an idle receiver has no problem'],
    make: (good) =>
      receiving(good, (receiver) => ({
        async health() {
          const { lag } = await receiver.health()
          return { lag, problems: lag === 0 ? ['nothing arrives'] : [] }
        },
      })),
  },
  {
    name: 'what was handed over counts as acknowledged',
    catches: ['the lag counts what is not acknowledged, where the broker says so'],
    make: (good) => receiving(good, () => ({ health: async () => ({ lag: 0, problems: [] }) })),
  },
]

/** All of them. */
export const wrongWires: readonly WrongWire[] = [
  ...wrongInSending,
  ...wrongInSizes,
  ...wrongInReceiving,
  ...wrongInOrder,
  ...wrongInLife,
]
