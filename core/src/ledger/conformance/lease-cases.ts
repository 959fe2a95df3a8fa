/** Cases: who holds which partitions, and what the proof of it is worth. */
import { partitionCount } from '../../contracts/index.ts'
import type { Claim, Lease, LeaseGrant, LeaseRequest, Ledger } from '../ledger.ts'
import { append, holds, idsOf, newEvent, newRecord, readAll, refused, same } from './expectation.ts'
import type { LedgerCase } from './ledger-world.ts'

/** Long enough not to end within a case. */
const longMs = 60_000
/** Short enough to be waited for where the clock is a real one. */
const shortMs = 250
const afterShortMs = 400

const ask = (
  ledger: Ledger,
  owner: string,
  more: Partial<Pick<LeaseRequest, 'leaseMs' | 'release' | 'keep' | 'start'>> = {},
) => ledger.lease({ reader: 'r', owner, leaseMs: longMs, ...more })

const partitionsOf = (grant: LeaseGrant): number[] => grant.leases.map((lease) => lease.partition).sort((a, b) => a - b)

const epochOf = (grant: LeaseGrant, partition: number): number =>
  grant.leases.find((lease) => lease.partition === partition)?.epoch ?? -1

const claimOf = (owner: string, leases: readonly Lease[], position?: number): Claim => {
  const epochs = new Map(leases.map((lease) => [lease.partition, lease.epoch]))
  return { reader: 'r', owner, epochs, ...(position === undefined ? {} : { position }) }
}

const hold = (ledger: Ledger, claim: Claim): Promise<void> => ledger.transact((tx) => tx.hold(claim))

const all = Array.from({ length: partitionCount }, (_, partition) => partition)

/** Asking for, renewing and giving back. */
export const leaseCases: readonly LedgerCase[] = [
  {
    name: 'the only owner of a new reader gets all partitions, at the start it names',
    async run({ ledger }) {
      const grant = await ask(ledger, 'a', { start: 17 })
      same(partitionsOf(grant), all, 'all partitions')
      same(grant.fairShare, partitionCount, 'all are its fair share')
      holds(
        grant.leases.every((lease) => lease.position === 17),
        'the checkpoints are at the start',
      )
      same(
        await ledger.positions('r'),
        all.map(() => 17),
        'also for others to see',
      )
      const other = await ledger.lease({ reader: 'other', owner: 'a', leaseMs: longMs })
      holds(
        other.leases.every((lease) => lease.position === 0),
        'a start that is not named is 0',
      )
    },
  },
  {
    name: 'the start counts only when the reader is new',
    async run({ ledger }) {
      const first = await ask(ledger, 'a', { start: 5 })
      await hold(ledger, claimOf('a', first.leases, 9))
      const again = await ask(ledger, 'a', { start: 99 })
      holds(
        again.leases.every((lease) => lease.position === 9),
        'the checkpoints stay where they are',
      )
    },
  },
  {
    name: 'renewing keeps the partitions, their epochs, and works for ever',
    async run({ ledger, advance }) {
      const first = await ask(ledger, 'a', { leaseMs: 1_000 })
      await advance(shortMs)
      const second = await ask(ledger, 'a', { leaseMs: longMs })
      same(second.leases, first.leases, 'the same partitions and epochs')
      await advance(shortMs)
      await hold(ledger, claimOf('a', first.leases))
    },
  },
  {
    name: 'a renewal counts from when it was made',
    async run({ ledger, advance }) {
      await ask(ledger, 'a', { leaseMs: shortMs })
      await ask(ledger, 'a', { leaseMs: longMs })
      await advance(afterShortMs)
      same((await ask(ledger, 'b')).leases, [], 'nobody gets what was renewed in time')
    },
  },
  {
    name: 'a second owner gets nothing that is held, and halves the fair share',
    async run({ ledger }) {
      const first = await ask(ledger, 'a')
      const second = await ask(ledger, 'b')
      same(second, { leases: [], fairShare: 8 }, 'nothing yet')
      const again = await ask(ledger, 'a')
      same(again, { leases: first.leases, fairShare: 8 }, 'the first one keeps all until it gives back')
      await ask(ledger, 'c')
      same((await ask(ledger, 'a')).fairShare, 6, 'a third of 16, rounded up')
    },
  },
  {
    name: 'what is given back can be taken at once, up to the fair share, with a greater epoch',
    async run({ ledger }) {
      const first = await ask(ledger, 'a')
      await ask(ledger, 'b')
      const rest = await ask(ledger, 'a', { release: [0, 1, 2, 3, 4, 5, 6, 7] })
      same(partitionsOf(rest), [8, 9, 10, 11, 12, 13, 14, 15], 'the others are kept')
      const second = await ask(ledger, 'b')
      same(partitionsOf(second), [0, 1, 2, 3, 4, 5, 6, 7], 'the second one gets them')
      for (const partition of partitionsOf(second)) {
        holds(epochOf(second, partition) > epochOf(first, partition), 'a new owner means a greater epoch')
      }
      await ask(ledger, 'a', { release: [8, 9] })
      same((await ask(ledger, 'b')).leases.length, 8, 'no more than the fair share is taken')
    },
  },
  {
    name: 'what is given back is not handed to the same owner in the same breath',
    async run({ ledger }) {
      const first = await ask(ledger, 'a')
      const second = await ask(ledger, 'a', { release: [3] })
      same(
        partitionsOf(second),
        all.filter((partition) => partition !== 3),
        'partition 3 is free',
      )
      const third = await ask(ledger, 'a')
      holds(epochOf(third, 3) > epochOf(first, 3), 'it may come back later, with a greater epoch')
    },
  },
  {
    name: 'only what one holds can be given back',
    async run({ ledger }) {
      const first = await ask(ledger, 'a')
      await ask(ledger, 'b', { release: [1, 2, 3] })
      same((await ask(ledger, 'b')).leases, [], 'the second one gains nothing')
      await hold(ledger, claimOf('a', first.leases))
    },
  },
  {
    name: 'giving back all ends the membership too',
    async run({ ledger }) {
      await ask(ledger, 'a')
      await ask(ledger, 'b')
      same((await ask(ledger, 'a', { release: 'all' })).leases, [], 'nothing is held any more')
      const rest = await ask(ledger, 'b')
      same(rest.fairShare, partitionCount, 'the other one is alone')
      same(partitionsOf(rest), all, 'and gets all')
    },
  },
  {
    name: 'who gives back all but some leaves too, and these stay its own under the same epoch until they are given back',
    async run({ ledger, advance }) {
      const first = await ask(ledger, 'a', { leaseMs: shortMs })
      const left = await ask(ledger, 'a', { release: 'all', keep: [2, 5] })
      same(partitionsOf(left), [2, 5], 'what was kept')
      await advance(afterShortMs)
      const rest = await ask(ledger, 'b')
      same(rest.fairShare, partitionCount, 'the other one is alone')
      same(partitionsOf(rest).length, partitionCount - 2, 'and gets what was given back')
      const kept = left.leases.map(({ partition }) => ({ partition, epoch: epochOf(first, partition), position: 0 }))
      await hold(ledger, claimOf('a', kept, 9))
      await ask(ledger, 'a', { release: 'all' })
      const last = await ask(ledger, 'b')
      same(partitionsOf(last), all, 'now it gets the others')
      same(last.leases.filter(({ position }) => position === 9).length, 2, 'where they stand')
    },
  },
  {
    name: 'a lease that is not renewed ends, and the next owner gets a greater epoch at the same checkpoint',
    async run({ ledger, advance }) {
      const first = await ask(ledger, 'a', { leaseMs: shortMs })
      await hold(ledger, claimOf('a', first.leases, 7))
      await advance(afterShortMs)
      const second = await ask(ledger, 'b')
      same(partitionsOf(second), all, 'all are free')
      same(second.fairShare, partitionCount, 'the membership has ended with the leases')
      for (const { partition, epoch, position } of second.leases) {
        holds(epoch > epochOf(first, partition), 'the epoch grows')
        same(position, 7, 'the checkpoint stays')
      }
    },
  },
  {
    name: 'an own lease that has ended but was not taken is renewed with the same epoch',
    async run({ ledger, advance }) {
      const first = await ask(ledger, 'a', { leaseMs: shortMs })
      await advance(afterShortMs)
      same((await ask(ledger, 'a')).leases, first.leases, 'nothing has changed')
    },
  },
  {
    name: 'no partition is given to two owners that ask at the same time',
    shared: true,
    async run({ ledger, open }) {
      const other = await open()
      const owners = ['a', 'b', 'c', 'd']
      await Promise.all(owners.map((owner, n) => ask(n % 2 === 0 ? ledger : other, owner)))
      const grants = await Promise.all(owners.map((owner, n) => ask(n % 2 === 0 ? other : ledger, owner)))
      const held = grants.flatMap(partitionsOf)
      same(new Set(held).size, held.length, 'each has at most one owner')
      same(held.length, partitionCount, 'and each has one')
    },
  },
  {
    name: 'readers have leases of their own, and are listed',
    async run({ ledger }) {
      same(await ledger.readers(), [], 'no reader yet')
      same(await ledger.positions('r'), [], 'no checkpoints of a reader that never was')
      const first = await ask(ledger, 'a')
      same(
        (await ledger.lease({ reader: 's', owner: 'b', leaseMs: longMs, start: 3 })).leases.length,
        16,
        'all of another reader',
      )
      same([...(await ledger.readers())].sort(), ['r', 's'], 'both are listed')
      const some = first.leases.filter((lease) => lease.partition % 2 === 0)
      await hold(ledger, claimOf('a', some, 4))
      same(
        await ledger.positions('r'),
        all.map((partition) => (partition % 2 === 0 ? 4 : 0)),
        'by partition',
      )
      same(
        await ledger.positions('s'),
        all.map(() => 3),
        'each reader by itself',
      )
    },
  },
]

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
