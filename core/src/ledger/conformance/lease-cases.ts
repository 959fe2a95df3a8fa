/** Cases: who holds which partitions. */
import { partitionCount } from '../../contracts/index.ts'
import type { LeaseGrant } from '../ledger.ts'
import { holds, same } from './expectation.ts'
import { afterShortMs, all, ask, claimOf, epochOf, hold, longMs, partitionsOf, shortMs } from './lease-asking.ts'
import type { LedgerCase } from './ledger-world.ts'

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
    name: 'who takes over what was not given back is told so, once',
    async run({ ledger, advance }) {
      const first = await ask(ledger, 'a', { leaseMs: shortMs })
      const abandoned = (grant: LeaseGrant) =>
        grant.leases.flatMap((lease) => (lease.abandoned ? [lease.partition] : []))
      same(abandoned(first), [], 'nobody had them before')
      await ask(ledger, 'a', { leaseMs: shortMs, release: [3, 5] })
      await advance(afterShortMs)
      const second = await ask(ledger, 'b')
      same(partitionsOf(second), all, 'all are free')
      same(
        abandoned(second),
        all.filter((partition) => partition !== 3 && partition !== 5),
        'all but what was given back',
      )
      same(abandoned(await ask(ledger, 'b')), [], 'a renewal is no takeover')
      await ask(ledger, 'b', { release: 'all' })
      same(abandoned(await ask(ledger, 'c')), [], 'what is given back is not abandoned')
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
