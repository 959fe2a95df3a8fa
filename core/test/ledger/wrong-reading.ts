/** Ledgers with a defect in reading, finding, or records. */
import type { ReadPage } from '../../src/ledger/ledger.ts'
import { exceptTx, type WrongLedger } from './wrong-ledger.ts'

type ReadQuery = Parameters<WrongLedger['make']>[0]['read'] extends (query: infer Query) => unknown ? Query : never

/** A defect in what a page says. */
const page = (
  name: string,
  catches: readonly string[],
  change: (page: ReadPage, query: ReadQuery) => ReadPage,
): WrongLedger => ({
  name,
  catches,
  make: (good) => ({ read: async (query) => change(await good.read(query), query) }),
})

const wrongReading: readonly WrongLedger[] = [
  page(
    'an empty page ends at 0',
    ['an empty log is at its end, and a page without events ends where it began'],
    (read) => ({
      ...read,
      upTo: read.events.at(-1)?.position ?? 0,
    }),
  ),
  page(
    'there is always more',
    ['an empty log is at its end, and a page without events ends where it began'],
    (read) => ({ ...read, end: false }),
  ),
  {
    name: 'a page begins with the last event of the one before',
    catches: ['pages of any size add up to the log, each once and in order'],
    make: (good) => ({ read: (query) => good.read({ ...query, after: Math.max(0, query.after - 1) }) }),
  },
  page(
    'every page is the last',
    ['a page has no more than its limit and says that there is more behind it'],
    (read) => ({
      ...read,
      end: true,
    }),
  ),
  {
    name: 'types are ignored',
    catches: ['a page of some types leaves out the others, and counts them as looked at'],
    make: (good) => ({ read: ({ after, limit }) => good.read({ after, limit }) }),
  },
  page(
    'what is left out does not count as looked at',
    ['a page of some types leaves out the others, and counts them as looked at'],
    (read, query) => (query.types ? { ...read, upTo: read.events.at(-1)?.position ?? query.after } : read),
  ),
  {
    name: 'the end is remembered until something of its own is appended',
    catches: ['reading is not at the end while another connection has appended more'],
    make(good) {
      let endAt = -1
      return {
        async transact(work) {
          endAt = -1
          return good.transact(work)
        },
        async read(query) {
          if (query.after === endAt) return { events: [], upTo: endAt, end: true }
          const read = await good.read(query)
          if (read.end) endAt = read.upTo
          return read
        },
      }
    },
  },
  page(
    'events are sorted by id',
    ['events of both connections are read in the order of their commits, from anywhere'],
    (read) => ({ ...read, events: read.events.toSorted((a, b) => (a.id < b.id ? -1 : 1)) }),
  ),
  {
    name: 'only the last 500 events can be read',
    catches: ['more events than are kept anywhere in memory are read from the beginning'],
    make: (good) => ({
      async read(query) {
        const { head } = await good.health()
        return good.read({ ...query, after: Math.max(query.after, head - 500) })
      },
    }),
  },
]

const wrongFinding: readonly WrongLedger[] = [
  {
    name: 'events are found in the order of the ids',
    catches: ['events are found by id, in the order of the log, and unknown ids are left out'],
    make: (good) => ({
      async find(query) {
        const found = await good.find(query)
        return query.ids ? query.ids.flatMap((id) => found.filter((event) => event.id === id)) : found
      },
    }),
  },
  {
    name: 'a conversation is taken for a key',
    catches: ['events are found by conversation, and no others'],
    make: (good) => ({
      find: ({ correlationId, ...query }) =>
        good.find(correlationId === undefined ? query : { ...query, key: correlationId }),
    }),
  },
  {
    name: 'find ignores types',
    catches: ['events are found by key, if wanted only of some types'],
    make: (good) => ({ find: (query) => good.find({ ...query, types: undefined }) }),
  },
  {
    name: 'find ignores the limit',
    catches: ['no more events are found than asked for, the first ones'],
    make: (good) => ({ find: (query) => good.find({ ...query, limit: 1e6 }) }),
  },
]

const wrongRecords: readonly WrongLedger[] = [
  {
    name: 'expires gets lost',
    catches: [
      'a record is loaded with every field as it was put',
      'trim removes records that have expired, and no others',
    ],
    make: (good) =>
      exceptTx(good, (tx) => ({
        save: (puts, removes) =>
          tx.save(
            puts.map((record) => ({ ...record, expires: null })),
            removes,
          ),
      })),
  },
  {
    name: 'null does not replace',
    catches: ['a record that is put again is replaced in all its fields'],
    make: (good) =>
      exceptTx(good, (tx) => ({
        async save(puts, removes) {
          const old = await tx.load(puts)
          return tx.save(
            puts.map((record, n) => ({ ...record, due: record.due ?? old[n]?.due ?? null })),
            removes,
          )
        },
      })),
  },
  {
    name: 'removing comes first',
    catches: ['removing comes after putting, and what is not there is removed without an error'],
    make: (good) =>
      exceptTx(good, (tx) => ({
        async save(puts, removes) {
          await tx.save([], removes)
          await tx.save(puts)
        },
      })),
  },
  {
    name: 'load leaves out what is missing',
    catches: ['records are loaded in the order of their keys, undefined where there is none'],
    make: (good) =>
      exceptTx(good, (tx) => ({
        load: async (keys) => (await tx.load(keys)).filter((record) => record !== undefined),
      })),
  },
]

const wrongQueries: readonly WrongLedger[] = [
  {
    name: 'paging begins anew',
    catches: ['records are paged by id, of one scope and kind'],
    make: (good) => ({ query: (query) => good.query({ ...query, afterId: undefined }) }),
  },
  {
    name: 'ids are sorted as in a dictionary',
    catches: ['records are paged by id, of one scope and kind'],
    make: (good) => ({
      query: async (query) =>
        (await good.query(query)).toSorted((a, b) => a.id.localeCompare(b.id, 'en', { numeric: true })),
    }),
  },
  {
    name: 'what is not due at all comes first',
    catches: ['records by due: only those that have one, the earliest first, then by id'],
    make: (good) => ({
      async query({ order, ...query }) {
        const records = await good.query({ ...query, ...(order === 'seq' ? { order } : {}), limit: 1e6 })
        const sorted = order === 'due' ? records.toSorted((a, b) => (a.due ?? 0) - (b.due ?? 0)) : records
        return sorted.slice(0, query.limit)
      },
    }),
  },
  {
    name: 'due now is not due',
    catches: ['records due by a time include those due at that time'],
    make: (good) => ({
      query: (query) =>
        good.query(query.dueBefore === undefined ? query : { ...query, dueBefore: query.dueBefore - 1 }),
    }),
  },
  {
    name: 'a lane is sorted by id',
    catches: ['records of a lane come by seq, then by id'],
    make: (good) => ({
      query: ({ order, ...query }) => good.query(order === 'seq' || order === undefined ? query : { ...query, order }),
    }),
  },
  {
    name: 'queries ignore partitions',
    catches: ['records are filtered by partition'],
    make: (good) => ({ query: (query) => good.query({ ...query, partitions: undefined }) }),
  },
  {
    name: 'counts ignore partitions',
    catches: ['records are counted by scope, kind and partition'],
    make: (good) => ({ count: (query) => good.count({ ...query, partitions: undefined }) }),
  },
  {
    name: 'what waits ignores partitions',
    catches: ['what waits is told by kind: when the first is due, and how many there are if they are to be counted'],
    make: (good) => ({ pending: (query) => good.pending({ ...query, partitions: [...Array(16).keys()] }) }),
  },
  {
    name: 'every lane has records',
    catches: ['lanes tells which lanes have records of the kind'],
    make: (good) => exceptTx(good, () => ({ lanes: async ({ lanes }) => new Set(lanes) })),
  },
]

export const wrongInReading: readonly WrongLedger[] = [
  ...wrongReading,
  ...wrongFinding,
  ...wrongRecords,
  ...wrongQueries,
]
