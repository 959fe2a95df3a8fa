/** Ledgers with a defect in transactions or in appending. */
import type { NewEvent } from '../../src/contracts/index.ts'
import type { Ledger, LedgerTx } from '../../src/ledger/ledger.ts'
import { changedTx, exceptTx, type WrongLedger } from './wrong-ledger.ts'

interface Waiting {
  readonly work: (tx: LedgerTx) => Promise<unknown>
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

/** Runs all works of one turn in one transaction, in the way that `run` says. */
function together(
  good: Ledger,
  run: (tx: LedgerTx, works: readonly Waiting[]) => Promise<void>,
): Pick<Ledger, 'transact'> {
  let waiting: Waiting[] = []
  return {
    transact: (work) =>
      new Promise((resolve, reject) => {
        waiting.push({ work, resolve: resolve as (value: unknown) => void, reject })
        if (waiting.length > 1) return
        queueMicrotask(() => {
          const works = waiting
          waiting = []
          good.transact((tx) => run(tx, works)).catch((error: unknown) => works.forEach((each) => each.reject(error)))
        })
      }),
  }
}

/** Adds what is appended to the shared list for as long as the transaction is open. */
const leaking: WrongLedger = {
  name: 'reads see what is not committed',
  catches: [
    'nothing of an open transaction is seen by another connection',
    'reads that are asked for while a transaction is open never see what it rolls back',
  ],
  make: (good, shared) => ({
    transact: (work) =>
      good.transact(async (tx) => {
        const append = async (events: readonly NewEvent[]) => {
          shared.events.push(...events.map((event) => ({ ...event, position: 1 })))
          return tx.append(events)
        }
        try {
          return await work(changedTx(tx, { append }))
        } finally {
          shared.events.length = 0
        }
      }),
    read: async (query) =>
      shared.events.length > 0 ? { events: [...shared.events], upTo: 1, end: true } : good.read(query),
  }),
}

const wrongTransactions: readonly WrongLedger[] = [
  {
    name: 'extensions get lost',
    catches: ['a committed event is read with every field as it was appended'],
    make: (good) => ({
      read: async (query) => {
        const page = await good.read(query)
        return { ...page, events: page.events.map((event) => ({ ...event, extensions: null })) }
      },
    }),
  },
  {
    name: 'a failed work is committed all the same',
    catches: [
      'a work that fails leaves nothing: no event, record, checkpoint or row',
      'nothing of the transaction of a zombie stays, whenever in it the proof was asked for',
      'an id of a transaction that was rolled back is not known',
      'what a work removes comes back when it fails',
    ],
    make: (good) => ({
      async transact(work) {
        const outcome = await good.transact(async (tx) => {
          try {
            return { value: await work(tx) }
          } catch (error) {
            return { error }
          }
        })
        if ('error' in outcome) throw outcome.error
        return outcome.value
      },
    }),
  },
  {
    name: 'the result of a work gets lost',
    catches: ['a work that succeeds leaves all of it, and its result comes out'],
    make: (good) => ({ transact: (work) => good.transact(work).then(() => undefined as never) }),
  },
  {
    name: 'a transaction resolves before it has committed',
    catches: ['a transaction has committed when it resolves'],
    make: (good, { env }) => ({
      transact: (work) =>
        new Promise((resolve, reject) => {
          const late = async (tx: LedgerTx) => {
            const value = await work(tx)
            resolve(value)
            await new Promise<void>((done) => env.timer(20, done))
            return value
          }
          good.transact(late).catch(reject)
        }),
    }),
  },
  {
    name: 'one failure fails all works beside it',
    catches: [
      'works that run at the same time never share a failure',
      'a failed proof does no harm to works beside it',
    ],
    make: (good) =>
      together(good, async (tx, works) => {
        const values: unknown[] = []
        for (const { work } of works) values.push(await work(tx))
        works.forEach((each, n) => each.resolve(values[n]))
      }),
  },
  {
    name: 'works share one transaction and run through each other',
    catches: ['works that wait inside are kept apart', 'works that run at the same time never share a failure'],
    make: (good) =>
      together(good, async (tx, works) => {
        await Promise.all(works.map(({ work, resolve, reject }) => work(tx).then(resolve, reject)))
      }),
  },
  leaking,
  {
    name: 'a transaction does not see what it has saved',
    catches: ['a transaction sees what it has saved itself'],
    make: (good) => exceptTx(good, () => ({ query: (query) => good.query(query) })),
  },
  {
    name: 'lanes does not see what the transaction has saved',
    catches: ['a transaction sees what it has saved itself'],
    make: (good) =>
      exceptTx(good, () => ({
        async lanes({ scope, kind, lanes }) {
          const records = await Promise.all(lanes.map((lane) => good.query({ scope, kind, lane, limit: 1 })))
          return new Set(records.flat().map((record) => record.lane!))
        },
      })),
  },
  {
    name: 'a transaction that has ended swallows what comes',
    catches: ['the handle and the transaction refuse to be used after the end'],
    make: (good) => exceptTx(good, (tx) => ({ append: (events) => tx.append(events).catch(() => []) })),
  },
  {
    name: 'a transaction says that it is broken and commits all the same',
    catches: ['a failure that a work has caught either does no harm, or the transaction says so and does not commit'],
    make: (good) => exceptTx(good, () => ({ broken: { error: 'not so' } })),
  },
  {
    name: 'every error is a conflict',
    catches: ['isConflict is false for what is no collision'],
    make: () => ({ isConflict: () => true }),
  },
]

const wrongAppending: readonly WrongLedger[] = [
  {
    name: 'a duplicate gets a position',
    catches: [
      'an id that comes twice in one call counts once, and the first one stays',
      'an id stays known after its event was trimmed',
    ],
    make: (good) =>
      exceptTx(good, (tx) => ({
        append: async (events) => (await tx.append(events)).map((position) => position ?? 1),
      })),
  },
  {
    name: 'one duplicate drops its whole batch',
    catches: ['an id of an earlier transaction is a duplicate, and the rest of its batch is kept'],
    make: (good) =>
      exceptTx(good, (tx) => ({
        async append(events) {
          const known = await good.find({ ids: events.map((event) => event.id), limit: 1 })
          return known.length > 0 ? events.map(() => null) : tx.append(events)
        },
      })),
  },
  {
    name: 'ids are unique for each connection only',
    catches: ['the same ids appended over two connections at the same time are kept once'],
    make: (good, _, connection) =>
      exceptTx(good, (tx) => ({
        append: (events) => tx.append(events.map((event) => ({ ...event, id: `${event.id}@${connection}` }))),
      })),
  },
  {
    name: 'ids are remembered although their transaction was rolled back',
    catches: ['an id of a transaction that was rolled back is not known'],
    make: (good, { ids }) =>
      exceptTx(good, (tx) => ({
        async append(events) {
          const fresh = events.filter((event) => !ids.has(event.id))
          for (const event of events) ids.add(event.id)
          const positions = await tx.append(fresh)
          return events.map((event) => positions[fresh.indexOf(event)] ?? null)
        },
      })),
  },
  {
    name: 'duplicates are looked for in what is committed only',
    catches: ['an event appended twice by one transaction is a duplicate the second time'],
    make: (good) =>
      exceptTx(good, (tx) => {
        const own = new Set<string>()
        return {
          append(events) {
            const renamed = events.map((event) => (own.has(event.id) ? { ...event, id: `${event.id}~` } : event))
            for (const event of events) own.add(event.id)
            return tx.append(renamed)
          },
        }
      }),
  },
  {
    name: 'what is appended last gets a position whether it is new or not',
    catches: ['what is appended last is there with the commit, behind all else, each id once'],
    make: (good) =>
      exceptTx(good, (tx) => ({
        appendLast(events) {
          const positions = tx.appendLast(events)
          return () => positions().map((position) => position ?? 1)
        },
      })),
  },
  {
    name: 'what is appended last commits by itself',
    catches: ['what is appended last is gone with a work that fails, also when it fails itself'],
    make: (good) =>
      exceptTx(good, () => ({
        appendLast(events) {
          const appended = good.transact((tx) => tx.append(events))
          void appended
          return () => events.map((_, index) => index + 1)
        },
      })),
  },
  {
    name: 'positions go down',
    catches: ['positions grow with every commit, whoever appends and whatever is rolled back'],
    make: (good) =>
      exceptTx(good, (tx) => ({
        append: async (events) => (await tx.append(events)).map((position) => position && 1e6 - position),
      })),
  },
  {
    name: 'a page claims to have looked at one position more than it has',
    catches: [
      'no event is skipped by a reader that follows writers on two connections',
      'pages of any size add up to the log, each once and in order',
    ],
    make: (good) => ({
      async read(query) {
        const page = await good.read(query)
        return page.events.length === 0 ? page : { ...page, upTo: page.upTo + 1 }
      },
    }),
  },
  {
    name: 'reading waits for open transactions',
    catches: ['a transaction that stays open holds up nobody who reads'],
    make: (good, { env, numbers }) => ({
      transact: (work) =>
        good.transact(async (tx) => {
          numbers.set('open', (numbers.get('open') ?? 0) + 1)
          try {
            return await work(tx)
          } finally {
            numbers.set('open', numbers.get('open')! - 1)
          }
        }),
      async read(query) {
        while ((numbers.get('open') ?? 0) > 0) await env.breathe()
        return good.read(query)
      },
    }),
  },
]

export const wrongInTransactions: readonly WrongLedger[] = [...wrongTransactions, ...wrongAppending]
