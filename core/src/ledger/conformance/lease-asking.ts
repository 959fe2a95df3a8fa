/** What the cases on leases share: asking for them, and proving them, as owners of one reader. */
import { partitionCount } from '../../contracts/index.ts'
import type { Claim, Lease, LeaseGrant, LeaseRequest, Ledger } from '../ledger.ts'

/** Long enough not to end within a case. */
export const longMs = 60_000
/** Short enough to be waited for where the clock is a real one. */
export const shortMs = 250
export const afterShortMs = 400

export const ask = (
  ledger: Ledger,
  owner: string,
  more: Partial<Pick<LeaseRequest, 'leaseMs' | 'release' | 'keep' | 'start'>> = {},
) => ledger.lease({ reader: 'r', owner, leaseMs: longMs, ...more })

export const partitionsOf = (grant: LeaseGrant): number[] =>
  grant.leases.map((lease) => lease.partition).sort((a, b) => a - b)

export const epochOf = (grant: LeaseGrant, partition: number): number =>
  grant.leases.find((lease) => lease.partition === partition)?.epoch ?? -1

export const claimOf = (owner: string, leases: readonly Lease[], position?: number): Claim => {
  const epochs = new Map(leases.map((lease) => [lease.partition, lease.epoch]))
  return { reader: 'r', owner, epochs, ...(position === undefined ? {} : { position }) }
}

export const hold = (ledger: Ledger, claim: Claim): Promise<void> => ledger.transact((tx) => tx.hold(claim))

export const all = Array.from({ length: partitionCount }, (_, partition) => partition)
