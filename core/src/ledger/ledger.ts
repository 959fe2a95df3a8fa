/**
 * The narrow waist: what a database must offer for Quadrille to run on it.
 *
 * A ledger is three things in one database, so that one transaction covers them: a **log** of events, **records**
 * (small rows of the runtime's own: parked events, joins, fences, timers, dead letters, ...), and **leases** over the
 * virtual partitions, each with a checkpoint. All mechanisms of the runtime are written once above this interface.
 * `docs/writing-a-ledger.md` is the guide; the conformance cases in ./conformance are the contract in full.
 */
import type { Env, TxHandle } from '../base/index.ts'
import type { EventRecord, NewEvent } from '../contracts/index.ts'

/** Names one record. */
export interface RecordKey {
  /** Whose it is: a reader (mostly a service name). */
  readonly scope: string
  /** What it is: `work`, `dead`, `join`, `fence`, `timer`, ... */
  readonly kind: string
  readonly id: string
}

/** A small row of the runtime's own. The ledger stores it and never looks into `body`. */
export interface LedgerRecord extends RecordKey {
  /** The virtual partition it belongs to, or -1. */
  readonly partition: number
  /** Groups records that must go one after the other, by `seq`; null for none. */
  readonly lane: string | null
  /** The order within a lane. */
  readonly seq: number
  /** When it wants attention, milliseconds since 1970; null for not by itself. */
  readonly due: number | null
  /** When it may be forgotten; null for never. */
  readonly expires: number | null
  /** JSON text. */
  readonly body: string
}

/** Which records: always of one scope and kind, sorted by `order` (ties by `id`), at most `limit`. */
export interface RecordQuery {
  readonly scope: string
  readonly kind: string
  /** `id` (default), `due` (only records that have one), or `seq` (only with `lane`). */
  readonly order?: 'id' | 'due' | 'seq'
  readonly lane?: string
  /** Only records due at or before this time. */
  readonly dueBefore?: number
  readonly partitions?: readonly number[]
  /** Only ids greater than this one; for paging with order `id`. */
  readonly afterId?: string
  readonly limit: number
}

/** Partitions that a process holds, as proof inside a transaction. */
export interface Claim {
  readonly reader: string
  readonly owner: string
  /** Partition to the epoch under which it was leased. */
  readonly epochs: ReadonlyMap<number, number>
  /** The `basis` of the page that is being handled, if it has one. */
  readonly basis?: number | undefined
  /** Where the checkpoints of these partitions go; one that is further already stays. Undefined to leave them. */
  readonly position?: number
}

/** One transaction. Nothing of it is visible to anyone before it commits, and everything afterwards. */
export interface LedgerTx {
  readonly handle: TxHandle
  /**
   * A handle of its own on this transaction, for one of several handlers that run side by side. `sending` is called before
   * each of its statements goes to the database, which runs them in the order in which they were sent; when it throws,
   * the statement is not sent. It is told whether the statement has effects, such as a lock or a savepoint, that hold only
   * while no other handler uses the transaction. Only where statements can be sent before those ahead are answered.
   */
  side?(sending: (needsOwnTurn: boolean) => void): TxHandle
  /**
   * Proves that the partitions are still held and, with `position`, advances their checkpoints. The proof holds for the
   * commit; a ledger may ask for it as late as then, and `transact` throws.
   *
   * @throws QuadrilleError `LEASE_LOST` when another process has taken one of them, `LEDGER_PAGE_VOID` when the commit
   *   that the claim's `basis` stands for has failed; the transaction must roll back.
   */
  hold(claim: Claim): Promise<void>
  /**
   * Appends events in the given order.
   *
   * @returns for each its position, or null when its id is already known (also when the earlier one has been trimmed
   *   but is remembered): a duplicate is dropped without an error.
   */
  append(events: readonly NewEvent[]): Promise<readonly (number | null)[]>
  /**
   * Appends behind everything else, at the latest with the commit, so that a ledger on a server can send both at once.
   * What goes wrong with it is thrown by `transact`.
   *
   * @returns what gives the positions, as {@link append} does, once `transact` has resolved.
   */
  appendLast(events: readonly NewEvent[]): () => readonly (number | null)[]
  /**
   * What has made the transaction useless, although the work may have caught it: nothing of it can commit any more. So it
   * is found out whose failure it was. Undefined while it can commit.
   */
  readonly broken: { readonly error: unknown } | undefined
  /** The records with these keys, in their order; undefined where there is none. */
  load(keys: readonly RecordKey[]): Promise<readonly (LedgerRecord | undefined)[]>
  /** Records by query, including what this transaction has saved. */
  query(query: RecordQuery): Promise<readonly LedgerRecord[]>
  /** Which of these lanes have records of the kind, including what this transaction has saved. */
  lanes(query: {
    readonly scope: string
    readonly kind: string
    readonly lanes: readonly string[]
  }): Promise<ReadonlySet<string>>
  /** Puts records (replacing those with the same key), then removes. */
  save(puts: readonly LedgerRecord[], removes?: readonly RecordKey[]): Promise<void>
}

/** What waits, by kind: see {@link Ledger.pending}. */
export interface PendingQuery {
  readonly scope: string
  readonly kinds: readonly string[]
  /** For each of the kinds, whether its records are counted. */
  readonly counted: readonly boolean[]
  readonly partitions: readonly number[]
}

/** What waits of one kind. */
export interface Pending {
  /** When the first record is due; null when none ever is. */
  readonly due: number | null
  /** How many there are, due or not; 0 when they were not to be counted. */
  readonly count: number
}

/** Which part of the log to read. */
export interface ReadQuery {
  readonly after: number
  readonly limit: number
  readonly types?: readonly string[]
  readonly ahead?: boolean
  readonly atHand?: boolean
}

/** A page of the log. */
export interface ReadPage {
  readonly events: readonly EventRecord[]
  /** Everything up to here has been looked at: where the checkpoint may go after the page is done. */
  readonly upTo: number
  /** True when nothing readable was left behind `upTo` at the time of reading; with `atHand`, as far as is known. */
  readonly end: boolean
  /**
   * Set when the page holds events whose commit is still under way, which a read with `ahead` may give: a transaction
   * that comes next joins that commit, or finds it done. `hold` with this number proves that.
   */
  readonly basis?: number
}

/** Asks for, renews and gives back leases of one reader. */
export interface LeaseRequest {
  readonly reader: string
  /** Names the process; unique in the world. */
  readonly owner: string
  /** For how long from now, by the ledger's clock. */
  readonly leaseMs: number
  /** Partitions that the owner gives back, its work on them being done. `all` also ends its membership. */
  readonly release?: readonly number[] | 'all'
  /** With `release: 'all'`: partitions that are not given back yet, but renewed, because work on them is under way. */
  readonly keep?: readonly number[]
  /** Where partitions of a reader that is new in this ledger start. Default 0. */
  readonly start?: number
}

/** A leased partition. */
export interface Lease {
  readonly partition: number
  /** Grows with every change of the owner. */
  readonly epoch: number
  /** The checkpoint: events up to here are done or recorded as work. */
  readonly position: number
  /**
   * True in the grant that takes it over from an owner who has let it end without giving it back: that process has died, or
   * was silent for too long. Absent otherwise, and in every later grant.
   */
  readonly abandoned?: true
}

/** What the owner holds now. */
export interface LeaseGrant {
  readonly leases: readonly Lease[]
  /** How many partitions would be a fair share; the owner gives back what it holds beyond, when it is done with it. */
  readonly fairShare: number
}

/** Which events to find: by ids, or by conversation, or by key (optionally only some types). Sorted by position. */
export interface FindQuery {
  readonly ids?: readonly string[]
  readonly correlationId?: string
  readonly key?: string
  readonly types?: readonly string[]
  readonly limit: number
}

/** What to forget: see {@link Ledger.trim}. */
export interface TrimRequest {
  /** Events up to this position and older than `eventsBefore` are removed; their ids stay remembered. */
  readonly upTo: number
  readonly eventsBefore: number
  /** Ids that were trimmed before this time are forgotten; a duplicate that comes later than that is a new event. */
  readonly idsBefore: number
  /** Records whose `expires` is before this are removed. */
  readonly recordsBefore: number
  /** At most so many rows of each kind in this call. */
  readonly limit: number
}

/** Facts for `health()`. */
export interface LedgerHealth {
  readonly ok: boolean
  /** The newest position that can be read. */
  readonly head: number
  /** Plain sentences on what is wrong or will be. */
  readonly problems: readonly string[]
  /** Numbers of the adapter's own, such as `walBytes`. */
  readonly facts: Readonly<Record<string, number | string>>
}

/** A database that Quadrille runs on. Every method may throw `LEDGER_CLOSED`; reads never see uncommitted data. */
export interface Ledger {
  /** For messages and logs: `sqlite orders.db`. */
  readonly name: string
  /** True when transactions have {@link LedgerTx.side}, so that handlers may run side by side. */
  readonly sideBySide?: boolean
  /**
   * Connects, and creates or migrates the tables.
   *
   * @throws QuadrilleError `LEDGER_UNREACHABLE` when it can not be connected to; `LEDGER_INCOMPATIBLE` when a newer version has made the tables, or they are not ours.
   */
  open(env: Env): Promise<void>
  /** Ends the connections. Waits for the open transaction. Idempotent. */
  close(): Promise<void>
  /**
   * Runs `work` in a transaction and resolves after its commit is durable. When `work` throws, everything is rolled
   * back and its error is thrown on. Concurrent calls may share one commit, but never each other's failure.
   *
   * @throws QuadrilleError `LEDGER_BUSY` or `LEDGER_CONFLICT`: nothing was committed; `work` may be run again.
   *   `LEDGER_UNREACHABLE`: the same, as the connection was lost before COMMIT was sent, or there was none; thrown instead
   *   of what `work` makes of that. `LEDGER_OUTCOME_UNKNOWN`: it was lost while COMMIT was under way, and whether that has
   *   happened could not be found out; `work` must not be run again. What {@link LedgerTx.hold} throws, when it is asked late.
   */
  transact<T>(work: (tx: LedgerTx) => Promise<T>): Promise<T>
  /**
   * True when an error that a handler met in its own statements means that its transaction collided with another one:
   * the batch is then run again, which counts as no attempt.
   */
  isConflict(error: unknown): boolean
  /**
   * Reads the log behind a position, in commit-safe order: no event with a position up to `upTo` can appear later.
   *
   * @param query - `types` leaves out all others (they count as looked at); undefined for all. With `ahead` the page may
   *   hold events whose commit is under way in this process: see {@link ReadPage.basis}. With `atHand` it may
   *   be what this process has in memory or was told of, without a look whether others have appended more. A ledger may
   *   ignore both.
   */
  read(query: ReadQuery): Promise<ReadPage>
  /** Finds events by id, conversation or key. */
  find(query: FindQuery): Promise<readonly EventRecord[]>
  /** Records, outside any transaction. */
  query(query: RecordQuery): Promise<readonly LedgerRecord[]>
  /** How many records there are. */
  count(query: {
    readonly scope: string
    readonly kind: string
    readonly partitions?: readonly number[]
  }): Promise<number>
  /** What waits in these partitions, for each kind, in one look. */
  pending(query: PendingQuery): Promise<readonly Pending[]>
  /**
   * Asks for, renews, gives back. Renewals of several readers come at the same instant, so that a server can be asked
   * once. Judged by the ledger's own clock. Creates the partitions of a new reader.
   */
  lease(request: LeaseRequest): Promise<LeaseGrant>
  /** The checkpoint of each partition of a reader, by partition; empty for a reader that never was. */
  positions(reader: string): Promise<readonly number[]>
  /** All readers that have checkpoints. */
  readers(): Promise<readonly string[]>
  /**
   * Calls `wake` soon after events were appended, or records saved without a claim, by anyone. Hints only: a reader also
   * looks by itself, every second while things happen and every minute otherwise.
   */
  onAppend(wake: () => void): () => void
  /** Forgets, in one short transaction. Returns how many rows went, so that the caller can come back while there are more. */
  trim(request: TrimRequest): Promise<number>
  health(): Promise<LedgerHealth>
}
