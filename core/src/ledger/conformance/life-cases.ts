/** Cases: forgetting, waking up, opening and closing. */
import type { Ledger, TrimRequest } from '../ledger.ts'
import { append, gate, holds, idsOf, newEvent, newRecord, readAll, refused, same, save, soon } from './expectation.ts'
import type { LedgerCase } from './ledger-world.ts'

const dayMs = 86_400_000

/** Trims until nothing goes any more; gives the numbers of rows that went. */
async function trimAll(ledger: Ledger, request: Partial<TrimRequest>): Promise<number[]> {
  const nothing = { upTo: 0, eventsBefore: 0, idsBefore: 0, recordsBefore: 0, limit: 100 }
  const counts: number[] = []
  for (let rounds = 0; rounds < 50; rounds++) {
    const count = await ledger.trim({ ...nothing, ...request })
    if (count === 0) break
    counts.push(count)
  }
  return counts
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0)

/** Forgetting. */
export const trimCases: readonly LedgerCase[] = [
  {
    name: 'trim removes events up to a position that are old enough, and no others',
    async run({ ledger }) {
      const times = [10, 10, 50, 10, 10, 10]
      const positions = await append(ledger, ...times.map((time, n) => newEvent(`e-${n}`, { time })))
      const counts = await trimAll(ledger, { upTo: positions[3]!, eventsBefore: 50 })
      same(sum(counts), 3, 'it tells how many went')
      const { events, upTo } = await readAll(ledger)
      same(idsOf(events), ['e-2', 'e-4', 'e-5'], 'the young one and those behind the position stay')
      holds(upTo >= positions[5]!, 'reading goes on behind the gap')
      same(idsOf(await ledger.find({ key: 'key-1', limit: 9 })), ['e-2', 'e-4', 'e-5'], 'find does not see them either')
      same(
        idsOf((await readAll(ledger, { after: positions[0]!, limit: 1 })).events),
        ['e-2', 'e-4', 'e-5'],
        'from anywhere',
      )
    },
  },
  {
    name: 'trim removes no more rows of a kind in one call than asked for, and comes to an end',
    async run({ ledger }) {
      const positions = await append(ledger, ...Array.from({ length: 7 }, (_, n) => newEvent(`e-${n}`, { time: 1 })))
      const counts = await trimAll(ledger, { upTo: positions[6]!, eventsBefore: 2, limit: 3 })
      holds(
        counts.every((count) => count <= 3),
        'never more than three',
      )
      same(sum(counts), 7, 'all in the end')
    },
  },
  {
    name: 'an id stays known after its event was trimmed',
    async run({ ledger }) {
      const positions = await append(ledger, newEvent('a', { time: 1 }), newEvent('b', { time: 1 }))
      await trimAll(ledger, { upTo: positions[1]!, eventsBefore: 2 })
      same((await readAll(ledger)).events, [], 'the events are gone')
      const again = await append(ledger, newEvent('b'), newEvent('c'), newEvent('a'))
      same(
        again.map((position) => position === null),
        [true, false, true],
        'their ids are still duplicates',
      )
    },
  },
  {
    name: 'an id that was trimmed by another connection is known',
    shared: true,
    async run({ ledger, open }) {
      const other = await open()
      const positions = await append(ledger, newEvent('m', { time: 1 }))
      await append(ledger, newEvent('n'))
      await trimAll(other, { upTo: positions[0]!, eventsBefore: 2 })
      same(await append(ledger, newEvent('m')), [null], 'it is a duplicate')
    },
  },
  {
    name: 'a remembered id is forgotten when it is older than wanted, and then counts as new',
    async run({ ledger, env }) {
      const positions = await append(ledger, newEvent('a', { time: 1 }))
      await trimAll(ledger, { upTo: positions[0]!, eventsBefore: 2 })
      await trimAll(ledger, { idsBefore: env.now() - dayMs })
      same(await append(ledger, newEvent('a')), [null], 'it was trimmed less than a day ago')
      await trimAll(ledger, { idsBefore: env.now() + dayMs })
      const [position] = await append(ledger, newEvent('a'))
      holds(typeof position === 'number', 'a forgotten id is new')
    },
  },
  {
    name: 'a position is never used again, not even when the newest events were trimmed',
    async run({ ledger }) {
      const before = await append(ledger, newEvent('a', { time: 1 }), newEvent('b', { time: 1 }))
      await trimAll(ledger, { upTo: before[1]!, eventsBefore: 2 })
      const [after] = await append(ledger, newEvent('c'))
      holds(after! > before[1]!, 'the next one is greater')
      same(
        idsOf((await ledger.read({ after: before[1]!, limit: 9 })).events),
        ['c'],
        'so a reader at the old end sees it',
      )
    },
  },
  {
    name: 'trim removes records that have expired, and no others',
    async run({ ledger }) {
      const expires = { a: 10, b: null, c: 20, d: 5, e: null }
      await save(ledger, ...Object.entries(expires).map(([id, at]) => newRecord(id, { expires: at })))
      same(sum(await trimAll(ledger, { recordsBefore: 20, limit: 1 })), 2, 'it tells how many went')
      same(idsOf(await ledger.query({ scope: 'reader-1', kind: 'work', limit: 9 })), ['b', 'c', 'e'], 'the others stay')
    },
  },
]

/** Waking up. */
export const wakeCases: readonly LedgerCase[] = [
  {
    name: 'a commit that appends wakes those who wait, until they leave',
    async run({ ledger, env }) {
      let woken = 0
      const leave = ledger.onAppend(() => (woken += 1))
      await append(ledger, newEvent('a'))
      await soon({ env }, () => woken > 0, 'it is woken')
      leave()
      const count = woken
      await append(ledger, newEvent('b'))
      const later = { woken: false }
      const leaveLater = ledger.onAppend(() => (later.woken = true))
      await append(ledger, newEvent('c'))
      await soon({ env }, () => later.woken, 'another one is woken')
      leaveLater()
      same(woken, count, 'who has left is not woken any more')
    },
  },
  {
    name: 'what another connection appends wakes too',
    shared: true,
    async run({ ledger, open, env }) {
      const other = await open()
      let woken = 0
      const leave = ledger.onAppend(() => (woken += 1))
      for (let n = 0; n < 3; n++) {
        const before = woken
        await append(other, newEvent(`e-${n}`))
        await soon({ env }, () => woken > before, 'it is woken')
      }
      leave()
    },
  },
]

/** Every method that needs an open ledger. */
const uses: readonly ((ledger: Ledger) => unknown)[] = [
  (ledger) => append(ledger, newEvent('late')),
  (ledger) => ledger.read({ after: 0, limit: 1 }),
  (ledger) => ledger.find({ key: 'k', limit: 1 }),
  (ledger) => ledger.query({ scope: 's', kind: 'k', limit: 1 }),
  (ledger) => ledger.count({ scope: 's', kind: 'k' }),
  (ledger) => ledger.lease({ reader: 'r', owner: 'o', leaseMs: 1 }),
  (ledger) => ledger.positions('r'),
  (ledger) => ledger.readers(),
  (ledger) => ledger.trim({ upTo: 0, eventsBefore: 0, idsBefore: 0, recordsBefore: 0, limit: 1 }),
  (ledger) => ledger.health(),
]

/** Opening and closing. */
export const lifeCases: readonly LedgerCase[] = [
  {
    name: 'a ledger that is not open refuses to be used, before and after',
    async run({ ledger, connect }) {
      const closed = connect()
      for (const use of uses) await refused(() => use(closed), 'LEDGER_CLOSED', 'not open yet')
      await ledger.close()
      for (const use of uses) await refused(() => use(ledger), 'LEDGER_CLOSED', 'closed')
    },
  },
  {
    name: 'closing twice is closing once',
    async run({ ledger, connect }) {
      await append(ledger, newEvent('a'))
      const outcomes = await Promise.allSettled([ledger.close(), ledger.close()])
      outcomes.push(...(await Promise.allSettled([ledger.close()])))
      const neverOpen = connect()
      outcomes.push(...(await Promise.allSettled([neverOpen.close()])))
      same(
        outcomes.map((outcome) => outcome.status),
        outcomes.map(() => 'fulfilled'),
        'it resolves every time, also when it was never open',
      )
    },
  },
  {
    name: 'closing waits for the open transaction',
    async run({ ledger }) {
      const entered = gate()
      const leave = gate()
      const order: string[] = []
      const long = ledger.transact(async (tx) => {
        entered.open()
        await leave.opened
        await tx.append([newEvent('a')])
      })
      await entered.opened
      const closing = ledger.close().then(() => order.push('closed'))
      const done = long.then(
        () => order.push('committed'),
        () => order.push('failed'),
      )
      leave.open()
      await Promise.all([closing, done])
      same(order, ['committed', 'closed'], 'first the commit, then the end')
    },
  },
  {
    name: 'everything is still there when the database is opened again',
    shared: true,
    async run({ ledger, open }) {
      const record = newRecord('w-1', { due: 5, lane: 'l' })
      const [position] = await append(ledger, newEvent('a'))
      await save(ledger, record)
      const { leases } = await ledger.lease({ reader: 'r', owner: 'o', leaseMs: 60_000 })
      const epochs = new Map(leases.map((lease) => [lease.partition, lease.epoch]))
      await ledger.transact((tx) => tx.hold({ reader: 'r', owner: 'o', epochs, position: position! }))
      await ledger.close()
      const again = await open()
      same((await readAll(again)).events, [{ ...newEvent('a'), position }], 'the event')
      same(await again.query({ scope: 'reader-1', kind: 'work', limit: 9 }), [record], 'the record')
      same(new Set(await again.positions('r')), [position], 'the checkpoints')
      same(await append(again, newEvent('a')), [null], 'the id is known')
      const renewed = await again.lease({ reader: 'r', owner: 'o', leaseMs: 60_000 })
      same(
        renewed.leases.map(({ epoch }) => epoch),
        leases.map(({ epoch }) => epoch),
        'the leases',
      )
    },
  },
  {
    name: 'an empty database may be opened by several at the same time',
    shared: true,
    async run({ open }) {
      const ledgers = await Promise.all(Array.from({ length: 4 }, () => open()))
      await Promise.all(ledgers.map((ledger, n) => append(ledger, newEvent(`e-${n}`))))
      for (const ledger of ledgers) same((await readAll(ledger)).events.length, 4, 'all see all')
    },
  },
  {
    name: 'health tells the newest position',
    async run({ ledger }) {
      const before = await ledger.health()
      same([before.ok, before.head, before.problems], [true, 0, []], 'all is well in an empty ledger')
      const positions = await append(ledger, newEvent('a'), newEvent('b'))
      same((await ledger.health()).head, positions[1], 'the newest position')
    },
  },
]
