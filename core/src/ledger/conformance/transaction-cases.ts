/** Cases: what a transaction is, and when an appended event counts as new. */
import { QuadrilleError } from '../../base/index.ts'
import {
  append,
  failing,
  gate,
  holds,
  idsOf,
  keyOf,
  newEvent,
  newRecord,
  readAll,
  refused,
  same,
  soon,
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

/** Appending: an id counts once. */
export const appendCases: readonly LedgerCase[] = [
  {
    name: 'an id that comes twice in one call counts once, and the first one stays',
    async run({ ledger }) {
      const events = [newEvent('a', { data: '1' }), newEvent('b'), newEvent('a', { data: '2' }), newEvent('c')]
      const positions = await append(ledger, ...events)
      same(
        positions.map((position) => position !== null),
        [true, true, false, true],
        'only the second one is a duplicate',
      )
      const read = (await readAll(ledger)).events
      same(idsOf(read), ['a', 'b', 'c'], 'in the order given')
      same(read[0]?.data, '1', 'the first one stays')
    },
  },
  {
    name: 'an id of an earlier transaction is a duplicate, and the rest of its batch is kept',
    async run({ ledger }) {
      await append(ledger, newEvent('a'), newEvent('b'))
      const positions = await append(ledger, newEvent('c'), newEvent('a'), newEvent('d'))
      same(
        positions.map((position) => position === null),
        [false, true, false],
        'only the known one is dropped',
      )
      same(idsOf((await readAll(ledger)).events), ['a', 'b', 'c', 'd'], 'all are there once')
    },
  },
  {
    name: 'the same ids appended over two connections at the same time are kept once',
    shared: true,
    async run({ ledger, open }) {
      const other = await open()
      const ids = Array.from({ length: 40 }, (_, n) => `e-${String(n).padStart(2, '0')}`)
      const all = await Promise.all(ids.flatMap((id) => [ledger, other].map((each) => append(each, newEvent(id)))))
      same(all.filter(([position]) => position !== null).length, ids.length, 'each was new once')
      same(idsOf((await readAll(ledger)).events).sort(), ids, 'each is there once')
    },
  },
  {
    name: 'an id of a transaction that was rolled back is not known',
    async run({ ledger }) {
      await failing(ledger, (tx) => tx.append([newEvent('a')]))
      const [position] = await append(ledger, newEvent('a'))
      holds(typeof position === 'number', 'it is new')
    },
  },
  {
    name: 'an event appended twice by one transaction is a duplicate the second time',
    async run({ ledger }) {
      const second = await ledger.transact(async (tx) => {
        await tx.append([newEvent('a')])
        return tx.append([newEvent('a'), newEvent('b')])
      })
      same(
        second.map((position) => position === null),
        [true, false],
        'what the transaction itself has appended counts',
      )
    },
  },
  {
    name: 'what is appended last is there with the commit, behind all else, each id once',
    async run({ ledger }) {
      await append(ledger, newEvent('old'))
      const { first, last, more } = await ledger.transact(async (tx) => {
        const last = tx.appendLast([newEvent('b'), newEvent('old'), newEvent('a')])
        const first = await tx.append([newEvent('first')])
        return { first, last, more: tx.appendLast([newEvent('c'), newEvent('b')]) }
      })
      const positions = [...first, ...last(), ...more()]
      same(
        positions.map((position) => position !== null),
        [true, true, false, true, true, false],
        'only what was known is a duplicate',
      )
      const given = new Map(
        [first[0]!, last()[0]!, last()[2]!, more()[0]!].map((at, n) => [at, ['first', 'b', 'a', 'c'][n]]),
      )
      const { events } = await readAll(ledger)
      same(
        events.slice(1).map(({ position, id }) => given.get(position) === id),
        [true, true, true, true],
        'each has the position that was told',
      )
      const ids = idsOf(events)
      holds(ids.indexOf('b') < ids.indexOf('a') && ids.indexOf('a') < ids.indexOf('c'), 'in the order given')
    },
  },
  {
    name: 'what is appended last is gone with a work that fails, also when it fails itself',
    async run({ ledger, rows }) {
      await failing(ledger, async (tx) => {
        await rows.put(tx.handle, 'row-1')
        tx.appendLast([newEvent('e-1')])
      })
      same((await readAll(ledger)).events, [], 'no event stays')
      same(await rows.all(), [], 'no row stays')
      const kept = await ledger.transact(async (tx) => ({ tx }))
      await refused(
        async () => kept.tx.appendLast([newEvent('late')]),
        'HANDLE_CLOSED',
        'it is closed with the transaction',
      )
    },
  },
  {
    name: 'positions grow with every commit, whoever appends and whatever is rolled back',
    shared: true,
    async run({ ledger, open }) {
      const other = await open()
      let last = 0
      for (let round = 0; round < 12; round++) {
        const [writer, loser] = round % 2 === 0 ? [ledger, other] : [other, ledger]
        await failing(loser, (tx) => tx.append([newEvent(`lost-${round}`), newEvent(`gone-${round}`)]))
        const positions = await append(writer, newEvent(`a-${round}`), newEvent(`b-${round}`))
        for (const position of positions) {
          holds(position !== null && position > last, 'each is greater than the one before')
          last = position!
        }
      }
    },
  },
  {
    name: 'no event is skipped by a reader that follows writers on two connections',
    shared: true,
    async run({ ledger, open, env }) {
      const other = await open()
      const third = await open()
      const expected: string[] = []
      let writing = true
      const write = async (each: typeof ledger, name: string) => {
        for (let n = 0; n < 40; n++) {
          const event = newEvent(`${name}-${String(n).padStart(2, '0')}`, { key: name })
          const work = async () => {
            await each.transact(async (tx) => {
              await tx.append([event])
              await env.breathe()
              if (n % 5 === 0) throw wanted
            })
            expected.push(event.id)
          }
          await work().catch((error: unknown) => {
            if (error !== wanted) throw error
          })
        }
      }
      const seen: string[] = []
      const follow = async (each: typeof ledger) => {
        for (let after = 0; ;) {
          const stopping = !writing
          const { events, upTo, end } = await each.read({ after, limit: 3 })
          seen.push(...idsOf(events))
          after = upTo
          if (end && stopping) return
          await env.breathe()
        }
      }
      const readers = [follow(ledger), follow(third)]
      await Promise.all([write(ledger, 'a'), write(other, 'b')])
      writing = false
      await Promise.all(readers)
      same(seen.sort(), [...expected, ...expected].sort(), 'each reader sees each committed event exactly once')
    },
  },
  {
    name: 'a transaction that stays open holds up nobody who reads',
    shared: true,
    async run({ ledger, open, env }) {
      const other = await open()
      await append(other, newEvent('a'))
      const entered = gate()
      const leave = gate()
      const long = ledger.transact(async (tx) => {
        await tx.append([newEvent('b')])
        entered.open()
        await leave.opened
      })
      await entered.opened
      let seen: readonly string[] | undefined
      const reading = readAll(other).then(({ events }) => (seen = idsOf(events)))
      await soon({ env }, () => seen !== undefined, 'reading does not wait for it').finally(leave.open)
      same(await reading, ['a'], 'what was committed before is read meanwhile')
      await long
      same(idsOf((await readAll(other)).events), ['a', 'b'], 'and the rest afterwards')
    },
  },
]
