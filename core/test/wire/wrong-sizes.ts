/** Wires with one defect each, in what they do with events that are large. */
import { QuadrilleError } from '../../src/base/index.ts'
import { forgiving, sending, type WrongWire } from './wrong-wire.ts'

const largestArrives = 'the largest event that is taken arrives, and with one byte more it is refused before it is sent'

/** All of them. */
export const wrongInSizes: readonly WrongWire[] = [
  {
    name: 'what is too large is dropped in silence',
    catches: [
      'an event that is too large is refused for ever, and nothing else with it',
      'an event that can not be sent does not turn the others of its key round',
    ],
    make: (good) => forgiving(good, 'WIRE_MESSAGE_REFUSED'),
  },
  {
    name: 'the first event that is too large fails its batch',
    catches: ['an event that is too large is refused for ever, and nothing else with it'],
    make: (good) =>
      sending(async (messages) => {
        const large = messages.some(({ event }) => event.data.length > 10_000)
        if (!large || messages.length === 1) return good.send(messages)
        const details = { wire: 'memory', type: messages[0]!.event.type, problem: 'the batch is too large' }
        return messages.map(() => new QuadrilleError('WIRE_MESSAGE_REFUSED', details))
      }),
  },
  {
    name: 'its limit is that for the data alone, and what the broker refuses is sent again for ever',
    catches: [largestArrives],
    make: (good) =>
      sending(async (messages) =>
        (await good.send(messages)).map((result, index) => {
          const { type, data } = messages[index]!.event
          if (result === null || data.length > 10_000) return result
          return new QuadrilleError('WIRE_SEND_FAILED', { wire: 'memory', type, message: 'it is too large' })
        }),
      ),
  },
  {
    name: 'what is nearly too large is taken and does not arrive',
    catches: [largestArrives],
    make: (good) =>
      sending(async (messages) => {
        const some = messages.filter(({ event }) => event.data.length < 9_500 || event.data.length > 10_000)
        if (some.length === messages.length) return good.send(messages)
        await good.send(some)
        return messages.map(() => null)
      }),
  },
  {
    name: 'what is too large is sent, and the broker hangs up',
    catches: [largestArrives],
    make(good) {
      let hangUp = (): void => {}
      return {
        open(context) {
          hangUp = () => context.notice({ kind: 'lost', service: null, why: 'the broker has hung up' })
          return good.open(context)
        },
        async send(messages) {
          const results = await good.send(messages)
          if (results.some((result) => result?.code === 'WIRE_MESSAGE_REFUSED')) hangUp()
          return results
        },
      }
    },
  },
]
