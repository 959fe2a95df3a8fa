/** Cases: what a transaction is. */
import { QuadrilleError } from '../../base/index.ts'
import {
  append,
  failing,
  holds,
  idsOf,
  keyOf,
  newEvent,
  newRecord,
  readAll,
  refused,
  same,
  wanted,
} from './expectation.ts'
import type { LedgerCase } from './ledger-world.ts'

/** Transactions: all or nothing, apart from each other, visible only when committed. */
export const transactionCases: readonly LedgerCase[] = [
  {
    name: 'a committed event is read with every field as it was appended',
    async run({ ledger }) {
      const full = newEvent('e-1', {
        type: 'order.created',
        version: 7,
        source: 'orders',
        key: 'kéy ✓ 💃',
        correlationId: 'c-1',
        causationId: 'e-0',
        reaction: 'orders/place',
        hops: 3,
        time: 1_700_000_000_123,
        traceparent: '00-ab-cd-01',
        tracestate: 'a=b',
        data: '{"text":"naïve \\u0000 💃","n":1.50}',
        extensions: '{"region":"eu"}',
      })
      const [position] = await append(ledger, full)
      holds(typeof position === 'number' && position > 0, 'append gives the position of a new event')
      same((await readAll(ledger)).events, [{ ...full, position }], 'the event is read as it was appended')
    },
  },
  {
    name: 'a work that fails leaves nothing: no event, record, checkpoint or row',
    async run({ ledger, rows }) {
      const { leases } = await ledger.lease({ reader: 'r', owner: 'o', leaseMs: 60_000 })
      const epochs = new Map(leases.map((lease) => [lease.partition, lease.epoch]))
      await failing(ledger, async (tx) => {
        await tx.append([newEvent('e-1')])
        await tx.save([newRecord('w-1')])
        await rows.put(tx.handle, 'row-1')
        await tx.hold({ reader: 'r', owner: 'o', epochs, position: 1 })
      })
      same((await readAll(ledger)).events, [], 'no event stays')
      same(await ledger.count({ scope: 'reader-1', kind: 'work' }), 0, 'no record stays')
      same(Math.max(...(await ledger.positions('r'))), 0, 'no checkpoint moves')
      same(await rows.all(), [], 'no row stays')
    },
  },
  {
    name: 'a work that succeeds leaves all of it, and its result comes out',
    async run({ ledger, rows }) {
      const { leases } = await ledger.lease({ reader: 'r', owner: 'o', leaseMs: 60_000 })
      const epochs = new Map(leases.map((lease) => [lease.partition, lease.epoch]))
      const result = await ledger.transact(async (tx) => {
        await rows.put(tx.handle, 'row-1')
        await tx.hold({ reader: 'r', owner: 'o', epochs, position: 1 })
        await tx.append([newEvent('e-1')])
        await tx.save([newRecord('w-1')])
        return { answer: 42 }
      })
      same(result, { answer: 42 }, 'the result of the work comes out')
      same(idsOf((await readAll(ledger)).events), ['e-1'], 'the event stays')
      same(await ledger.count({ scope: 'reader-1', kind: 'work' }), 1, 'the record stays')
      same(Math.min(...(await ledger.positions('r'))), 1, 'the checkpoints move')
      same(await rows.all(), ['row-1'], 'the row stays')
    },
  },
  {
    name: 'a transaction has committed when it resolves',
    shared: true,
    async run({ ledger, open }) {
      const other = await open()
      for (let n = 1; n <= 5; n++) {
        await append(ledger, newEvent(`e-${n}`))
        same((await readAll(other)).events.length, n, 'another connection sees the event at once')
      }
    },
  },
  {
    name: 'works that run at the same time never share a failure',
    async run({ ledger, rows }) {
      const outcomes = await Promise.allSettled(
        Array.from({ length: 30 }, (_, n) =>
          ledger.transact(async (tx) => {
            await tx.append([newEvent(`e-${String(n).padStart(2, '0')}`)])
            await tx.save([newRecord(`w-${n}`)])
            await rows.put(tx.handle, `row-${String(n).padStart(2, '0')}`)
            if (n % 3 === 0) throw wanted
            return n
          }),
        ),
      )
      const good = Array.from({ length: 30 }, (_, n) => n).filter((n) => n % 3 !== 0)
      const ids = (prefix: string) => good.map((n) => `${prefix}-${String(n).padStart(2, '0')}`)
      same(
        outcomes.map((outcome) => outcome.status === 'fulfilled'),
        outcomes.map((_, n) => n % 3 !== 0),
        'only the works that threw are rejected',
      )
      same(idsOf((await readAll(ledger)).events).sort(), ids('e'), 'their events are missing, all others are there')
      same(await ledger.count({ scope: 'reader-1', kind: 'work' }), good.length, 'and so are the records')
      same(await rows.all(), ids('row'), 'and the rows')
    },
  },
  {
    name: 'works that wait inside are kept apart',
    async run({ ledger, env }) {
      const outcomes = await Promise.allSettled(
        Array.from({ length: 6 }, (_, n) =>
          ledger.transact(async (tx) => {
            await tx.append([newEvent(`first-${n}`)])
            await env.breathe()
            await tx.append([newEvent(`second-${n}`)])
            await env.breathe()
            if (n % 2 === 1) throw wanted
          }),
        ),
      )
      same(outcomes.filter((outcome) => outcome.status === 'rejected').length, 3, 'half of them fail')
      const expected = [0, 2, 4].flatMap((n) => [`first-${n}`, `second-${n}`]).sort()
      same(idsOf((await readAll(ledger)).events).sort(), expected, 'both events of each, or none')
    },
  },
  {
    name: 'nothing of an open transaction is seen by another connection',
    shared: true,
    async run({ ledger, open }) {
      const other = await open()
      await ledger.transact(async (tx) => {
        await tx.append([newEvent('e-1', { key: 'k' })])
        await tx.save([newRecord('w-1')])
        same((await readAll(other)).events, [], 'read sees nothing')
        same(await other.find({ key: 'k', limit: 9 }), [], 'find sees nothing')
        same(await other.query({ scope: 'reader-1', kind: 'work', limit: 9 }), [], 'query sees nothing')
        same(await other.count({ scope: 'reader-1', kind: 'work' }), 0, 'count sees nothing')
      })
      same(idsOf((await readAll(other)).events), ['e-1'], 'everything is seen after the commit')
    },
  },
  {
    name: 'reads that are asked for while a transaction is open never see what it rolls back',
    async run({ ledger }) {
      const asked: Promise<unknown>[] = []
      await failing(ledger, async (tx) => {
        await tx.append([newEvent('e-1', { key: 'k' })])
        await tx.save([newRecord('w-1')])
        asked.push(
          ledger.read({ after: 0, limit: 9 }).then((page) => page.events),
          ledger.find({ key: 'k', limit: 9 }),
          ledger.query({ scope: 'reader-1', kind: 'work', limit: 9 }),
          ledger.count({ scope: 'reader-1', kind: 'work' }).then((count) => Array(count).fill('record')),
        )
        // Not awaited: a database with one connection answers when the transaction has ended.
        await Promise.resolve()
      })
      same(await Promise.all(asked), [[], [], [], []], 'they see nothing')
    },
  },
  {
    name: 'a transaction sees what it has saved itself',
    async run({ ledger }) {
      await ledger.transact(async (tx) => {
        const record = newRecord('w-1', { lane: 'lane-1', due: 5 })
        await tx.save([record])
        same(await tx.query({ scope: 'reader-1', kind: 'work', limit: 9 }), [record], 'query sees it')
        same(await tx.load([keyOf(record)]), [record], 'load sees it')
        const lanes = { scope: 'reader-1', kind: 'work', lanes: ['lane-1', 'lane-2'] }
        same(await tx.lanes(lanes), ['lane-1'], 'lanes sees it')
        await tx.save([], [keyOf(record)])
        same(await tx.load([keyOf(record)]), [undefined], 'and sees that it was removed')
        same(await tx.lanes(lanes), [], 'and that its lane is empty')
      })
    },
  },
  {
    name: 'the handle and the transaction refuse to be used after the end',
    async run({ ledger, rows }) {
      const kept = await ledger.transact(async (tx) => ({ tx, handle: tx.handle }))
      await refused(() => rows.put(kept.handle, 'late'), 'HANDLE_CLOSED', 'the handle is closed')
      await refused(() => kept.tx.append([newEvent('late')]), 'HANDLE_CLOSED', 'append is closed')
      await refused(() => kept.tx.save([newRecord('late')]), 'HANDLE_CLOSED', 'save is closed')
      same(await rows.all(), [], 'nothing was written')
      same((await readAll(ledger)).events, [], 'nothing was appended')
    },
  },
  {
    name: 'a failure that a work has caught either does no harm, or the transaction says so and does not commit',
    async run({ ledger, rows }) {
      const seen = { broken: false }
      const outcome = await ledger
        .transact(async (tx) => {
          await tx.append([newEvent('e-1')])
          await rows.put(tx.handle, 'row-1')
          holds(tx.broken === undefined, 'nothing has failed yet')
          await rows.put(tx.handle, 'row-1').catch(() => {})
          seen.broken = tx.broken !== undefined
        })
        .then(
          () => 'committed',
          () => 'failed',
        )
      same(outcome, seen.broken ? 'failed' : 'committed', 'it commits unless it says that it can not')
      same(await rows.all(), seen.broken ? [] : ['row-1'], 'and so does what it wrote')
    },
  },
  {
    name: 'isConflict is false for what is no collision',
    async run({ ledger }) {
      const others = [wanted, undefined, 'text', new QuadrilleError('LEASE_LOST', { reader: 'r', partitions: [1] })]
      same(
        others.map((error) => ledger.isConflict(error)),
        others.map(() => false),
        'other errors are no conflicts',
      )
    },
  },
]
