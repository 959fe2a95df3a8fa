/** Leases over the virtual partitions, each with a checkpoint, and who takes part in sharing them. */
import type { StatementSync } from 'node:sqlite'
import { QuadrilleError, invariant } from '../../base/index.ts'
import { partitionCount } from '../../contracts/index.ts'
import type { Claim, Lease, LeaseGrant, LeaseRequest } from '../ledger.ts'
import type { Connection } from './sqlite-connection.ts'

interface LeaseRow {
  readonly partition: number
  readonly owner: string | null
  readonly epoch: number
  readonly until: number
  readonly position: number
}

/** Who holds what, as far as a claim is judged. */
interface Holders {
  readonly owners: readonly (string | null)[]
  readonly epochs: readonly number[]
}

function prepare({ db }: Connection) {
  return {
    leases: db.prepare(
      'SELECT partition, owner, epoch, until, position FROM quadrille_leases WHERE reader = ? ORDER BY partition',
    ),
    create: db.prepare(
      'INSERT INTO quadrille_leases (reader, partition, owner, epoch, until, position) VALUES (?, ?, NULL, 0, 0, ?)',
    ),
    renew: db.prepare('UPDATE quadrille_leases SET until = ? WHERE reader = ? AND owner = ?'),
    free: db.prepare(
      'UPDATE quadrille_leases SET owner = NULL, until = 0 WHERE reader = ? AND partition = ? AND owner = ?',
    ),
    take: db.prepare(
      'UPDATE quadrille_leases SET owner = ?, until = ?, epoch = epoch + 1 WHERE reader = ? AND partition = ?',
    ),
    advance: db.prepare(
      'UPDATE quadrille_leases SET position = max(position, ?) WHERE reader = ? AND ((? >> partition) & 1) = 1',
    ),
    join: db.prepare(
      `INSERT INTO quadrille_members (reader, owner, until) VALUES (?, ?, ?)
       ON CONFLICT (reader, owner) DO UPDATE SET until = excluded.until`,
    ),
    leave: db.prepare('DELETE FROM quadrille_members WHERE reader = ? AND owner = ?'),
    expire: db.prepare('DELETE FROM quadrille_members WHERE reader = ? AND until <= ?'),
    members: db.prepare('SELECT count(*) AS count FROM quadrille_members WHERE reader = ?'),
  } satisfies Record<string, StatementSync>
}

/** Changes leases, over the writing connection and inside a transaction. */
export class LeaseWriter {
  readonly #sql: ReturnType<typeof prepare>
  /** What the table says, for as long as nobody else can have changed it: see {@link forget}. */
  readonly #holders = new Map<string, Holders>()

  constructor(connection: Connection) {
    this.#sql = prepare(connection)
  }

  /** Must be called when another process has committed, and when a transaction of ours has rolled back. */
  forget(): void {
    this.#holders.clear()
  }

  /** See {@link LedgerTx.hold}. Reads nothing while nobody else writes; one statement when there is a position. */
  hold(claim: Claim): void {
    const { owners, epochs } = this.#holdersOf(claim.reader)
    let lost: number[] | undefined
    let mask = 0
    for (const [partition, epoch] of claim.epochs) {
      if (owners[partition] !== claim.owner || epochs[partition] !== epoch) (lost ??= []).push(partition)
      mask |= 1 << partition
    }
    if (lost) throw new QuadrilleError('LEASE_LOST', { reader: claim.reader, partitions: lost })
    if (claim.position === undefined || mask === 0) return
    const { changes } = this.#sql.advance.run(claim.position, claim.reader, mask)
    invariant(changes === claim.epochs.size, 'every partition that is held has a row')
  }

  /** See {@link Ledger.lease}. */
  lease(request: LeaseRequest, now: number): LeaseGrant {
    const { reader, owner, leaseMs, release } = request
    this.#holders.delete(reader)
    if (release === 'all') return this.#leave(request, now)
    for (const partition of release ?? []) this.#sql.free.run(reader, partition, owner)
    const until = now + leaseMs
    this.#sql.join.run(reader, owner, until)
    const fairShare = this.#fairShare(reader, now)
    const rows = this.#rowsOf(request)
    let held = 0
    for (const row of rows) if (row.owner === owner) held += 1
    if (held > 0) this.#sql.renew.run(until, reader, owner)
    const leases: Lease[] = []
    for (const { partition, owner: holder, epoch, until: end, position } of rows) {
      if (holder === owner) leases.push({ partition, epoch, position })
      else if (held < fairShare && (holder === null || end <= now) && !release?.includes(partition)) {
        this.#sql.take.run(owner, until, reader, partition)
        leases.push({ partition, epoch: epoch + 1, position, ...(holder !== null && { abandoned: true }) })
        held += 1
      }
    }
    return { leases, fairShare }
  }

  #leave({ reader, owner, leaseMs, keep = [] }: LeaseRequest, now: number): LeaseGrant {
    const leases: Lease[] = []
    for (const { partition, owner: holder, epoch, position } of this.#sql.leases.all(reader) as unknown as LeaseRow[]) {
      if (holder !== owner) continue
      if (keep.includes(partition)) leases.push({ partition, epoch, position })
      else this.#sql.free.run(reader, partition, owner)
    }
    if (leases.length > 0) this.#sql.renew.run(now + leaseMs, reader, owner)
    this.#sql.leave.run(reader, owner)
    return { leases, fairShare: this.#fairShare(reader, now) }
  }

  #fairShare(reader: string, now: number): number {
    this.#sql.expire.run(reader, now)
    const members = this.#sql.members.get(reader)!['count'] as number
    return Math.ceil(partitionCount / Math.max(1, members))
  }

  #rowsOf({ reader, start = 0 }: LeaseRequest): LeaseRow[] {
    const rows = this.#sql.leases.all(reader) as unknown as LeaseRow[]
    if (rows.length > 0) return rows
    for (let partition = 0; partition < partitionCount; partition++) this.#sql.create.run(reader, partition, start)
    return this.#sql.leases.all(reader) as unknown as LeaseRow[]
  }

  #holdersOf(reader: string): Holders {
    let holders = this.#holders.get(reader)
    if (holders === undefined) {
      const rows = this.#sql.leases.all(reader) as unknown as LeaseRow[]
      holders = { owners: rows.map((row) => row.owner), epochs: rows.map((row) => row.epoch) }
      this.#holders.set(reader, holders)
    }
    return holders
  }
}

/** Checkpoints, over the reading connection. */
export class LeaseReader {
  readonly #positions: StatementSync
  readonly #readers: StatementSync

  constructor({ db }: Connection) {
    this.#positions = db.prepare('SELECT position FROM quadrille_leases WHERE reader = ? ORDER BY partition')
    this.#readers = db.prepare('SELECT DISTINCT reader FROM quadrille_leases ORDER BY reader')
  }

  /** The checkpoint of each partition, by partition. */
  positions(reader: string): number[] {
    return this.#positions.all(reader).map((row) => row['position'] as number)
  }

  /** All readers that have checkpoints. */
  readers(): string[] {
    return this.#readers.all().map((row) => row['reader'] as string)
  }
}
