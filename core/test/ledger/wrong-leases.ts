/** Ledgers with a defect in leases or in their proof. */
import { QuadrilleError, isQuadrilleError } from '../../src/base/index.ts'
import { partitionCount } from '../../src/contracts/index.ts'
import type { Claim, LeaseGrant, LeaseRequest, Ledger } from '../../src/ledger/ledger.ts'
import { exceptTx, type WrongLedger } from './wrong-ledger.ts'

const all = Array.from({ length: partitionCount }, (_, partition) => partition)

/** A defect in how a request is understood. */
const request = (
  name: string,
  catches: readonly string[],
  change: (request: LeaseRequest) => LeaseRequest,
): WrongLedger => ({ name, catches, make: (good) => ({ lease: (asked) => good.lease(change(asked)) }) })

/** Asks on behalf of every other owner that was seen before. */
async function forOthers(
  good: Ledger,
  owners: Set<string>,
  [asked, change]: readonly [LeaseRequest, Partial<LeaseRequest>],
): Promise<LeaseGrant> {
  for (const owner of owners) if (owner !== asked.owner) await good.lease({ ...asked, owner, ...change })
  owners.add(asked.owner)
  return good.lease(asked)
}

const wrongLeasing: readonly WrongLedger[] = [
  request(
    'the start is ignored',
    ['the only owner of a new reader gets all partitions, at the start it names'],
    (asked) => ({ ...asked, start: undefined }),
  ),
  {
    name: 'the start counts every time',
    catches: ['the start counts only when the reader is new'],
    make: (good) => ({
      async lease(asked) {
        const { leases, fairShare } = await good.lease(asked)
        return { leases: leases.map((lease) => ({ ...lease, position: asked.start ?? lease.position })), fairShare }
      },
    }),
  },
  {
    name: 'renewing is giving back and asking again',
    catches: [
      'renewing keeps the partitions, their epochs, and works for ever',
      'an own lease that has ended but was not taken is renewed with the same epoch',
      'everything is still there when the database is opened again',
    ],
    make: (good) => ({
      async lease(asked) {
        await good.lease({ ...asked, release: 'all' })
        return good.lease(asked)
      },
    }),
  },
  {
    name: 'a renewal is as long as the first lease',
    catches: ['a renewal counts from when it was made'],
    make: (good, { numbers }) => ({
      lease(asked) {
        const leaseMs = numbers.get(asked.owner) ?? asked.leaseMs
        numbers.set(asked.owner, leaseMs)
        return good.lease({ ...asked, leaseMs })
      },
    }),
  },
  {
    name: 'whoever comes takes all',
    catches: ['a second owner gets nothing that is held, and halves the fair share'],
    make: (good, { owners }) => ({ lease: (asked) => forOthers(good, owners, [asked, { release: 'all' }]) }),
  },
  {
    name: 'the fair share is everything',
    catches: ['a second owner gets nothing that is held, and halves the fair share'],
    make: (good) => ({ lease: async (asked) => ({ ...(await good.lease(asked)), fairShare: partitionCount }) }),
  },
  request(
    'nothing is given back',
    [
      'what is given back can be taken at once, up to the fair share, with a greater epoch',
      'one lost partition refuses the whole claim',
    ],
    ({ release, ...asked }) => (release === 'all' ? { ...asked, release } : asked),
  ),
  {
    name: 'nobody is told of a death',
    catches: ['who takes over what was not given back is told so, once'],
    make: (good) => ({
      async lease(asked) {
        const { leases, fairShare } = await good.lease(asked)
        return { leases: leases.map(({ abandoned: _told, ...lease }) => lease), fairShare }
      },
    }),
  },
  {
    name: 'epochs stand still',
    catches: [
      'what is given back can be taken at once, up to the fair share, with a greater epoch',
      'a lease that is not renewed ends, and the next owner gets a greater epoch at the same checkpoint',
    ],
    make: (good) => ({
      async lease(asked) {
        const { leases, fairShare } = await good.lease(asked)
        return { leases: leases.map((lease) => ({ ...lease, epoch: 1 })), fairShare }
      },
    }),
  },
  {
    name: 'what is given back comes back at once',
    catches: ['what is given back is not handed to the same owner in the same breath'],
    make: (good) => ({
      async lease({ release, ...asked }) {
        await good.lease({ ...asked, ...(release ? { release } : {}) })
        return good.lease(asked)
      },
    }),
  },
  {
    name: 'anybody can give back',
    catches: ['only what one holds can be given back'],
    make: (good, { owners }) => ({ lease: (asked) => forOthers(good, owners, [asked, { leaseMs: 60_000 }]) }),
  },
  request('who gives back all stays a member', ['giving back all ends the membership too'], (asked) =>
    asked.release === 'all' ? { ...asked, release: all } : asked,
  ),
  request(
    'who leaves keeps nothing',
    ['who gives back all but some leaves too, and these stay its own under the same epoch until they are given back'],
    ({ keep: _keep, ...asked }) => asked,
  ),
  request(
    'leases never end',
    ['a lease that is not renewed ends, and the next owner gets a greater epoch at the same checkpoint'],
    (asked) => ({ ...asked, leaseMs: 1e9 }),
  ),
  {
    name: 'each connection has leases of its own',
    catches: ['no partition is given to two owners that ask at the same time'],
    make: (good, _, connection) => ({
      lease: (asked) => good.lease({ ...asked, reader: `${asked.reader}@${connection}` }),
    }),
  },
  {
    name: 'partitions share one checkpoint',
    catches: ['readers have leases of their own, and are listed'],
    make: (good) => ({
      async positions(reader) {
        const positions = await good.positions(reader)
        return positions.map(() => Math.max(...positions))
      },
    }),
  },
  {
    name: 'a reader is listed that never was',
    catches: ['readers have leases of their own, and are listed'],
    make: (good) => ({ readers: async () => [...(await good.readers()), 'ghost'] }),
  },
]

/** A defect in how a failed proof is taken. */
const onLost = (
  name: string,
  catches: readonly string[],
  then: (lost: readonly number[], claim: Claim, hold: (claim: Claim) => Promise<void>) => Promise<void>,
): WrongLedger => ({
  name,
  catches,
  make: (good) =>
    exceptTx(good, (tx) => ({
      async hold(claim) {
        try {
          await tx.hold(claim)
        } catch (error) {
          if (!isQuadrilleError(error, 'LEASE_LOST')) throw error
          await then(error.details.partitions, claim, (other) => tx.hold(other))
        }
      },
    })),
})

const wrongProofs: readonly WrongLedger[] = [
  {
    name: 'a checkpoint goes where the last claim says',
    catches: ['holding moves the checkpoints of the claimed partitions forward, never back'],
    make: (good, { numbers }) => ({
      ...exceptTx(good, (tx) => ({
        async hold(claim) {
          await tx.hold(claim)
          if (claim.position !== undefined) numbers.set('last', claim.position)
        },
      })),
      positions: async (reader) => (await good.positions(reader)).map(() => numbers.get('last') ?? 0),
    }),
  },
  onLost(
    'nothing is proved',
    [
      'a partition that another owner has taken over can not be held, and the error names it',
      'one lost partition refuses the whole claim',
      'a takeover over another connection is noticed at once',
      'a partition that was given back can not be held',
      'nothing of the transaction of a zombie stays, whenever in it the proof was asked for',
    ],
    async () => {},
  ),
  onLost('what is left is held', ['one lost partition refuses the whole claim'], async (lost, claim, hold) => {
    await hold({ ...claim, epochs: new Map([...claim.epochs].filter(([partition]) => !lost.includes(partition))) })
  }),
  {
    name: 'the error names all partitions',
    catches: ['one lost partition refuses the whole claim'],
    make: (good) =>
      exceptTx(good, (tx) => ({
        hold: (claim) =>
          tx.hold(claim).catch(() => {
            throw new QuadrilleError('LEASE_LOST', { reader: claim.reader, partitions: [...claim.epochs.keys()] })
          }),
      })),
  },
  {
    name: 'who has proved once is believed',
    catches: ['a takeover over another connection is noticed at once'],
    make(good) {
      const believed = new Set<string>()
      return exceptTx(good, (tx) => ({
        async hold(claim) {
          if (believed.has(claim.owner)) return
          await tx.hold(claim)
          believed.add(claim.owner)
        },
      }))
    },
  },
  {
    name: 'epochs are not looked at',
    catches: ['an epoch that has passed can not be held, not even by the same owner'],
    make(good) {
      const newest = new Map<number, number>()
      return {
        async lease(asked) {
          const grant = await good.lease(asked)
          for (const { partition, epoch } of grant.leases) newest.set(partition, epoch)
          return grant
        },
        ...exceptTx(good, (tx) => ({
          hold(claim) {
            const epochs = new Map(
              [...claim.epochs].map(([partition, epoch]) => [partition, newest.get(partition) ?? epoch]),
            )
            return tx.hold({ ...claim, epochs })
          },
        })),
      }
    },
  },
  {
    name: 'a lease that has ended can not be held',
    catches: ['a lease that has ended but was not taken can still be held'],
    code: 'LEASE_LOST',
    make: (good, { env, numbers }) => ({
      lease(asked) {
        numbers.set(asked.owner, env.now() + asked.leaseMs)
        return good.lease(asked)
      },
      ...exceptTx(good, (tx) => ({
        async hold(claim) {
          if ((numbers.get(claim.owner) ?? 0) < env.now()) {
            throw new QuadrilleError('LEASE_LOST', { reader: claim.reader, partitions: [] })
          }
          await tx.hold(claim)
        },
      })),
    }),
  },
]

export const wrongInLeases: readonly WrongLedger[] = [...wrongLeasing, ...wrongProofs]
