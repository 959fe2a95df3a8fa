/** Leases, as the functions of the schema deal them out. */
import type { LeaseGrant, LeaseRequest } from 'quadrille'
import type { SchemaNames } from './schema-names.ts'
import type { Rows, Statement } from './statement-group.ts'
import { intArray } from './wire-values.ts'

/** The call of `lease_1` for a request; with `renumber` what is held gets a new epoch. */
export function leaseStatement({ quoted }: SchemaNames, request: LeaseRequest, renumber: boolean): Statement {
  const { reader, owner, leaseMs, release = [], keep = [], start = 0 } = request
  const leaves = release === 'all'
  return {
    text: `SELECT * FROM ${quoted}.lease_1($1,$2,$3,$4,$5,$6,$7,$8)`,
    values: [reader, owner, leaseMs, intArray(leaves ? [] : release), leaves, intArray(keep), start, renumber],
  }
}

/** What its rows say; the first one has only the fair share. */
export function grantOf(rows: Rows): LeaseGrant {
  const [[, , , share] = [], ...leases] = rows
  return {
    fairShare: Number(share),
    leases: leases.map(([partition, epoch, position, , abandoned]) => ({
      partition: Number(partition),
      epoch: Number(epoch),
      position: Number(position),
      ...(abandoned === 't' && { abandoned: true }),
    })),
  }
}
