/** Cases: records by key and by query. */
import { failing, idsOf, keyOf, newRecord, same, save } from './expectation.ts'
import type { LedgerCase } from './ledger-world.ts'

const of = { scope: 'reader-1', kind: 'work' } as const

/** Putting, removing and loading by key. */
export const recordCases: readonly LedgerCase[] = [
  {
    name: 'a record is loaded with every field as it was put',
    async run({ ledger }) {
      const full = newRecord('w-1', {
        partition: 7,
        lane: 'a lane',
        seq: 3,
        due: 1_700_000_000_123,
        expires: 9,
        body: '[1,"é"]',
      })
      await save(ledger, full, newRecord('w-2'))
      same(await ledger.transact((tx) => tx.load([keyOf(full)])), [full], 'by key')
      same(await ledger.query({ ...of, limit: 9 }), [full, newRecord('w-2')], 'by query')
    },
  },
  {
    name: 'a record that is put again is replaced in all its fields',
    async run({ ledger }) {
      await save(ledger, newRecord('w-1', { lane: 'l', seq: 3, due: 5, expires: 9, partition: 4, body: '{"a":1}' }))
      const next = newRecord('w-1', { body: '{"b":2}' })
      await save(ledger, next)
      same(await ledger.query({ ...of, limit: 9 }), [next], 'nothing of the first one is left')
      same(await ledger.query({ ...of, order: 'due', limit: 9 }), [], 'it is not due any more')
      same(await ledger.query({ ...of, order: 'seq', lane: 'l', limit: 9 }), [], 'it is in no lane any more')
    },
  },
  {
    name: 'removing comes after putting, and what is not there is removed without an error',
    async run({ ledger }) {
      await save(ledger, newRecord('a'), newRecord('b'))
      await ledger.transact((tx) =>
        tx.save([newRecord('c'), newRecord('d')], [newRecord('a'), newRecord('d'), newRecord('x')]),
      )
      same(idsOf(await ledger.query({ ...of, limit: 9 })), ['b', 'c'], 'a and d are gone')
    },
  },
  {
    name: 'records are loaded in the order of their keys, undefined where there is none',
    async run({ ledger }) {
      await save(ledger, newRecord('a'), newRecord('b', { kind: 'join' }), newRecord('c', { scope: 'reader-2' }))
      const keys = [
        newRecord('c', { scope: 'reader-2' }),
        newRecord('b'),
        newRecord('b', { kind: 'join' }),
        newRecord('a'),
      ]
      const loaded = await ledger.transact((tx) => tx.load(keys.map(keyOf)))
      same(
        loaded.map((record) => record && [record.scope, record.kind, record.id]),
        [['reader-2', 'work', 'c'], undefined, ['reader-1', 'join', 'b'], ['reader-1', 'work', 'a']],
        'each in its place',
      )
    },
  },
  {
    name: 'what a work removes comes back when it fails',
    async run({ ledger }) {
      await save(ledger, newRecord('a'), newRecord('b'))
      await failing(ledger, (tx) => tx.save([newRecord('b', { body: '1' })], [newRecord('a')]))
      same(await ledger.query({ ...of, limit: 9 }), [newRecord('a'), newRecord('b')], 'as it was before')
    },
  },
]

/** Queries, counts and lanes. */
export const queryCases: readonly LedgerCase[] = [
  {
    name: 'records are paged by id, of one scope and kind',
    async run({ ledger }) {
      const ids = ['B', 'a', 'b', 'c-1', 'c-10', 'c-2', 'd']
      const others = [newRecord('a', { kind: 'join' }), newRecord('b', { scope: 'reader-2' })]
      await save(ledger, ...[...ids].reverse().map((id) => newRecord(id)), ...others)
      const seen: string[] = []
      for (let pages = 0; pages < 9; pages++) {
        const afterId = seen.at(-1)
        const page = await ledger.query({ ...of, ...(afterId === undefined ? {} : { afterId }), limit: 2 })
        same(page.length <= 2, true, 'no more than the limit')
        if (page.length === 0) break
        seen.push(...idsOf(page))
      }
      same(seen, ids, 'by code units, each once')
    },
  },
  {
    name: 'records by due: only those that have one, the earliest first, then by id',
    async run({ ledger }) {
      const dues = { c: 10, a: 20, e: 10, b: null, d: 5 }
      await save(ledger, ...Object.entries(dues).map(([id, due]) => newRecord(id, { due })))
      same(idsOf(await ledger.query({ ...of, order: 'due', limit: 9 })), ['d', 'c', 'e', 'a'], 'in order')
      same(idsOf(await ledger.query({ ...of, order: 'due', limit: 2 })), ['d', 'c'], 'the first two')
    },
  },
  {
    name: 'records due by a time include those due at that time',
    async run({ ledger }) {
      await save(ledger, ...[9, 10, 11].map((due) => newRecord(`d-${due}`, { due })), newRecord('none'))
      const due = { ...of, dueBefore: 10, limit: 9 } as const
      same(idsOf(await ledger.query({ ...due, order: 'due' })), ['d-9', 'd-10'], 'by due')
      same(idsOf(await ledger.query(due)), ['d-10', 'd-9'], 'by id')
    },
  },
  {
    name: 'records of a lane come by seq, then by id',
    async run({ ledger }) {
      const seqs = { a: 3, b: 1, c: 2, d: 2 }
      const inLane = Object.entries(seqs).map(([id, seq]) => newRecord(id, { lane: 'l-1', seq }))
      await save(ledger, ...inLane, newRecord('e', { lane: 'l-2' }), newRecord('f'))
      const lane = { ...of, lane: 'l-1', limit: 9 } as const
      same(idsOf(await ledger.query({ ...lane, order: 'seq' })), ['b', 'c', 'd', 'a'], 'by seq')
      same(idsOf(await ledger.query(lane)), ['a', 'b', 'c', 'd'], 'by id')
      same(idsOf(await ledger.query({ ...lane, order: 'seq', limit: 1 })), ['b'], 'the first')
    },
  },
  {
    name: 'records are filtered by partition',
    async run({ ledger }) {
      const all = Array.from({ length: 17 }, (_, n) =>
        newRecord(`p-${String(n).padStart(2, '0')}`, { partition: n - 1, due: n }),
      )
      await save(ledger, ...all)
      const some = { ...of, partitions: [-1, 3, 15], limit: 99 } as const
      same(idsOf(await ledger.query(some)), ['p-00', 'p-04', 'p-16'], 'by id')
      same(idsOf(await ledger.query({ ...some, order: 'due', dueBefore: 10 })), ['p-00', 'p-04'], 'by due')
      same(await ledger.query({ ...some, partitions: [] }), [], 'none of no partitions')
    },
  },
  {
    name: 'records are counted by scope, kind and partition',
    async run({ ledger }) {
      const all = Array.from({ length: 20 }, (_, n) => newRecord(`c-${n}`, { partition: n % 4 }))
      await save(ledger, ...all, newRecord('x', { kind: 'dead' }), newRecord('y', { scope: 'reader-2' }))
      same(await ledger.count(of), 20, 'of a kind')
      same(await ledger.count({ ...of, partitions: [0, 3] }), 10, 'of two partitions')
      same(await ledger.count({ ...of, partitions: [] }), 0, 'of none')
      same(await ledger.count({ ...of, kind: 'never' }), 0, 'of a kind that is not there')
    },
  },
  {
    name: 'what waits is told by kind: when the first is due, and how many there are if they are to be counted',
    async run({ ledger }) {
      const at = (id: string, partition: number, due: number | null) => newRecord(id, { partition, due })
      await save(ledger, at('a', 1, 30), at('b', 2, 20), at('c', 3, 10), at('d', 2, null))
      await save(ledger, newRecord('e', { kind: 'dead', partition: 1 }), newRecord('f', { scope: 'reader-2', due: 5 }))
      const kinds = [of.kind, 'dead', of.kind, 'never']
      const query = { scope: of.scope, kinds, counted: [true, true, false, true] }
      const nothing = { due: null, count: 0 }
      const some = await ledger.pending({ ...query, partitions: [1, 2] })
      same(some, [{ due: 20, count: 3 }, { due: null, count: 1 }, { due: 20, count: 0 }, nothing], 'of two partitions')
      same(
        await ledger.pending({ ...query, partitions: [] }),
        kinds.map(() => nothing),
        'of none',
      )
      same(await ledger.pending({ ...query, kinds: [], counted: [], partitions: [1] }), [], 'no kinds')
    },
  },
  {
    name: 'lanes tells which lanes have records of the kind',
    async run({ ledger }) {
      await save(
        ledger,
        newRecord('a', { lane: 'l-1' }),
        newRecord('b', { lane: 'l-1' }),
        newRecord('c', { lane: 'l-3' }),
      )
      await save(
        ledger,
        newRecord('d', { lane: 'l-2', kind: 'dead' }),
        newRecord('e', { lane: 'l-2', scope: 'reader-2' }),
      )
      const lanes = ['l-1', 'l-2', 'l-3', 'l-4']
      await ledger.transact(async (tx) => {
        same(await tx.lanes({ ...of, lanes }), ['l-1', 'l-3'], 'those with records')
        same(await tx.lanes({ ...of, lanes: ['l-3'] }), ['l-3'], 'only those asked for')
        same(await tx.lanes({ ...of, lanes: [] }), [], 'none of none')
        same(await tx.lanes({ ...of, kind: 'never', lanes }), [], 'none of a kind that is not there')
      })
    },
  },
]
