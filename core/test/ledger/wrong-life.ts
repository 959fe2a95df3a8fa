/** Ledgers with a defect in forgetting, waking up, opening or closing. */
import { QuadrilleError, isQuadrilleError } from '../../src/base/index.ts'
import type { Ledger, TrimRequest } from '../../src/ledger/ledger.ts'
import { exceptTx, type WrongLedger } from './wrong-ledger.ts'

/** A defect in how a request is understood. */
const trim = (name: string, catches: readonly string[], change: Partial<TrimRequest>): WrongLedger => ({
  name,
  catches,
  make: (good) => ({ trim: (request) => good.trim({ ...request, ...change }) }),
})

const wrongForgetting: readonly WrongLedger[] = [
  trim('trim goes beyond the position', ['trim removes events up to a position that are old enough, and no others'], {
    upTo: 1e9,
  }),
  trim('trim removes young events', ['trim removes events up to a position that are old enough, and no others'], {
    eventsBefore: 1e15,
  }),
  trim(
    'trim ignores the limit',
    ['trim removes no more rows of a kind in one call than asked for, and comes to an end'],
    { limit: 1_000 },
  ),
  trim(
    'trim forgets ids at once',
    [
      'an id stays known after its event was trimmed',
      'an id that was trimmed by another connection is known',
      'a remembered id is forgotten when it is older than wanted, and then counts as new',
    ],
    { idsBefore: 1e15 },
  ),
  trim(
    'trim never forgets an id',
    ['a remembered id is forgotten when it is older than wanted, and then counts as new'],
    { idsBefore: 0 },
  ),
  {
    name: 'positions begin anew when all was trimmed',
    catches: ['a position is never used again, not even when the newest events were trimmed'],
    make(good) {
      let offset = 0
      return {
        async trim(request) {
          const removed = await good.trim(request)
          if (removed > 0) offset = request.upTo
          return removed
        },
        ...exceptTx(good, (tx) => ({
          append: async (events) => (await tx.append(events)).map((position) => position && position - offset),
        })),
      }
    },
  },
  trim('records never expire', ['trim removes records that have expired, and no others'], { recordsBefore: 0 }),
  trim('records expire too early', ['trim removes records that have expired, and no others'], { recordsBefore: 21 }),
]

const wrongWaking: readonly WrongLedger[] = [
  {
    name: 'nobody is woken',
    catches: ['a commit that appends wakes those who wait, until they leave'],
    make: () => ({ onAppend: () => () => {} }),
  },
  {
    name: 'who has left is woken on',
    catches: ['a commit that appends wakes those who wait, until they leave'],
    make: (good) => ({
      onAppend(wake) {
        good.onAppend(wake)
        return () => {}
      },
    }),
  },
  {
    name: 'only own commits wake',
    catches: ['what another connection appends wakes too'],
    make(good) {
      const wakes = new Set<() => void>()
      return {
        async transact(work) {
          const value = await good.transact(work)
          for (const wake of wakes) wake()
          return value
        },
        onAppend(wake) {
          wakes.add(wake)
          return () => wakes.delete(wake)
        },
      }
    },
  },
]

/** Nothing at all, instead of LEDGER_CLOSED. */
function quiet<T>(action: () => Promise<T>): Promise<T> {
  return action().catch((error: unknown) => {
    if (isQuadrilleError(error, 'LEDGER_CLOSED')) return undefined as T
    throw error
  })
}

const wrongLives: readonly WrongLedger[] = [
  {
    name: 'a closed ledger answers',
    catches: ['a ledger that is not open refuses to be used, before and after'],
    make: (good) => ({ transact: (work) => quiet(() => good.transact(work)) }),
  },
  {
    name: 'a closed ledger answers reads',
    catches: ['a ledger that is not open refuses to be used, before and after'],
    make: (good) => ({ positions: (reader) => quiet(() => good.positions(reader)) }),
  },
  {
    name: 'closing twice fails',
    catches: ['closing twice is closing once'],
    code: 'LEDGER_CLOSED',
    make(good) {
      let closed = false
      return {
        async close() {
          if (closed) throw new QuadrilleError('LEDGER_CLOSED', { ledger: good.name, operation: 'close' })
          closed = true
          await good.close()
        },
      }
    },
  },
  {
    name: 'closing does not wait',
    catches: ['closing waits for the open transaction'],
    make(good) {
      let closing: Promise<void> | undefined
      return {
        async close() {
          // The second call is the suite's, before it removes the database.
          if (closing) return closing
          closing = good.close()
        },
      }
    },
  },
  {
    name: 'a new connection sees nothing of before',
    catches: ['everything is still there when the database is opened again'],
    make: (good, _, connection) =>
      connection === 1 ? {} : { read: async ({ after }) => ({ events: [], upTo: after, end: true }) },
  },
  {
    name: 'a connection reads only what it has appended itself',
    catches: ['an empty database may be opened by several at the same time'],
    make: (good: Ledger) => {
      const own = new Set<string>()
      return {
        ...exceptTx(good, (tx) => ({
          append(events) {
            for (const event of events) own.add(event.id)
            return tx.append(events)
          },
        })),
        async read(query) {
          const page = await good.read(query)
          return { ...page, events: page.events.filter((event) => own.has(event.id)) }
        },
      }
    },
  },
  {
    name: 'health knows no position',
    catches: ['health tells the newest position'],
    make: (good) => ({ health: async () => ({ ...(await good.health()), head: 0 }) }),
  },
]

export const wrongInLife: readonly WrongLedger[] = [...wrongForgetting, ...wrongWaking, ...wrongLives]
