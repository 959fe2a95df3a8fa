/** Cases: what the proof of a lease is worth. */
import { append, idsOf, newEvent, newRecord, readAll, refused, same } from './expectation.ts'
import { afterShortMs, all, ask, claimOf, hold, partitionsOf, shortMs } from './lease-asking.ts'
import type { LedgerCase } from './ledger-world.ts'

/** Proving that one holds. */
export const holdCases: readonly LedgerCase[] = [
  {
    name: 'holding moves the checkpoints of the claimed partitions forward, never back',
    async run({ ledger }) {
      const { leases } = await ask(ledger, 'a')
      await hold(ledger, claimOf('a', leases, 10))
      await hold(ledger, claimOf('a', leases.slice(0, 4), 20))
      await hold(ledger, claimOf('a', leases, 15))
      await hold(ledger, claimOf('a', leases))
      const moved = new Set(leases.slice(0, 4).map((lease) => lease.partition))
      same(
        await ledger.positions('r'),
        all.map((partition) => (moved.has(partition) ? 20 : 15)),
        'each where it was last',
      )
      same(
        (await ask(ledger, 'a')).leases.find((lease) => moved.has(lease.partition))?.position,
        20,
        'leases tell it too',
      )
    },
  },
  {
    name: 'a partition that another owner has taken over can not be held, and the error names it',
    async run({ ledger, advance }) {
      const first = await ask(ledger, 'a', { leaseMs: shortMs })
      await advance(afterShortMs)
      await ask(ledger, 'b')
      await ask(ledger, 'b', { release: [0, 1] })
      await ask(ledger, 'a')
      const error = await refused(() => hold(ledger, claimOf('a', first.leases, 9)), 'LEASE_LOST', 'it is refused')
      same(
        [...error.details.partitions].sort((a, b) => a - b),
        all,
        'all of them are lost',
      )
      same(Math.max(...(await ledger.positions('r'))), 0, 'no checkpoint has moved')
    },
  },
  {
    name: 'one lost partition refuses the whole claim',
    async run({ ledger }) {
      const { leases } = await ask(ledger, 'a')
      await ask(ledger, 'b')
      await ask(ledger, 'a', { release: [5] })
      same(partitionsOf(await ask(ledger, 'b')), [5], 'the second owner has taken it')
      const error = await refused(() => hold(ledger, claimOf('a', leases, 9)), 'LEASE_LOST', 'it is refused')
      same(error.details, { reader: 'r', partitions: [5] }, 'the error names it')
      same(Math.max(...(await ledger.positions('r'))), 0, 'no checkpoint has moved')
      await hold(
        ledger,
        claimOf(
          'a',
          leases.filter((lease) => lease.partition !== 5),
          9,
        ),
      )
    },
  },
  {
    name: 'a takeover over another connection is noticed at once',
    shared: true,
    async run({ ledger, open, advance }) {
      const other = await open()
      const { leases } = await ask(ledger, 'a', { leaseMs: shortMs })
      await hold(ledger, claimOf('a', leases, 1))
      await advance(afterShortMs)
      await ask(other, 'b')
      await refused(() => hold(ledger, claimOf('a', leases, 2)), 'LEASE_LOST', 'it is refused')
      same(Math.max(...(await other.positions('r'))), 1, 'the checkpoints are where they were')
    },
  },
  {
    name: 'an epoch that has passed can not be held, not even by the same owner',
    async run({ ledger }) {
      const old = await ask(ledger, 'a')
      await ask(ledger, 'a', { release: [2] })
      await ask(ledger, 'a')
      const error = await refused(() => hold(ledger, claimOf('a', old.leases)), 'LEASE_LOST', 'it is refused')
      same(error.details.partitions, [2], 'the error names it')
    },
  },
  {
    name: 'a partition that was given back can not be held',
    async run({ ledger }) {
      const { leases } = await ask(ledger, 'a')
      await ask(ledger, 'a', { release: 'all' })
      await refused(() => hold(ledger, claimOf('a', leases, 9)), 'LEASE_LOST', 'it is refused')
      same(Math.max(...(await ledger.positions('r'))), 0, 'no checkpoint has moved')
    },
  },
  {
    name: 'a lease that has ended but was not taken can still be held',
    async run({ ledger, advance }) {
      const { leases } = await ask(ledger, 'a', { leaseMs: shortMs })
      await advance(afterShortMs)
      await hold(ledger, claimOf('a', leases, 9))
      same(Math.min(...(await ledger.positions('r'))), 9, 'nobody else has worked on it')
    },
  },
  {
    name: 'nothing of the transaction of a zombie stays, whenever in it the proof was asked for',
    shared: true,
    async run({ ledger, open, advance, rows }) {
      const other = await open()
      const { leases } = await ask(ledger, 'zombie', { leaseMs: shortMs })
      await advance(afterShortMs)
      const heir = await ask(other, 'heir')
      await other.transact(async (tx) => {
        await tx.hold(claimOf('heir', heir.leases, 5))
        await tx.append([newEvent('good')])
      })
      for (const early of [true, false]) {
        const zombie = ledger.transact(async (tx) => {
          if (early) await tx.hold(claimOf('zombie', leases, 99))
          await tx.append([newEvent(`bad-${early}`)])
          await tx.save([newRecord(`bad-${early}`)])
          await rows.put(tx.handle, `bad-${early}`)
          await tx.hold(claimOf('zombie', leases, 99))
        })
        await refused(() => zombie, 'LEASE_LOST', 'it is refused')
      }
      same(idsOf((await readAll(ledger)).events), ['good'], 'no event')
      same(await ledger.count({ scope: 'reader-1', kind: 'work' }), 0, 'no record')
      same(await rows.all(), [], 'no row')
      same(
        await ledger.positions('r'),
        all.map(() => 5),
        'no checkpoint',
      )
    },
  },
  {
    name: 'a failed proof does no harm to works beside it',
    async run({ ledger }) {
      const { leases } = await ask(ledger, 'a')
      const wrong = claimOf('nobody', leases, 50)
      const outcomes = await Promise.allSettled([
        append(ledger, newEvent('before')),
        hold(ledger, wrong),
        hold(ledger, claimOf('a', leases, 3)),
        append(ledger, newEvent('behind')),
      ])
      same(
        outcomes.map((outcome) => outcome.status),
        ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
        'only the wrong claim is refused',
      )
      same(
        await ledger.positions('r'),
        all.map(() => 3),
        'the right one counts',
      )
    },
  },
]
