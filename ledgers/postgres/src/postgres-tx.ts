/**
 * One transaction as the runtime sees it. It begins with the first statement that must be answered, so that BEGIN goes in
 * one write with it; what only writes is kept until the end and goes in one write with COMMIT.
 *
 *     new --statement--> open --commit--> ended
 *      \----commit: all that was kept is one transaction without BEGIN--> ended
 */
import type pg from 'pg'
import {
  invariant,
  isQuadrilleError,
  messageOf,
  QuadrilleError,
  type Claim,
  type LedgerRecord,
  type LedgerTx,
  type NewEvent,
} from 'quadrille'
import type { EventRecord, RecordKey, RecordQuery, TxHandle } from 'quadrille'
import { eventAt } from 'quadrille/ledger-kit'
import { appendValues } from './event-rows.ts'
import { endOf } from './connections.ts'
import { GatedHandle, type HandleSource, type Sending } from './postgres-handle.ts'
import { abortedState, hasState, isAway, isConflictError, isFromServer, leaseLostState } from './postgres-errors.ts'
import {
  lanesStatement,
  loadedRecords,
  loadStatement,
  queryStatement,
  recordOfRow,
  RecordChanges,
} from './record-rows.ts'
import type { SchemaNames } from './schema-names.ts'
import type { LostCommit } from './commit-outcome.ts'
import { runGroup, type Rows, type Statement } from './statement-group.ts'
import { UserStatements } from './user-statements.ts'
import type { WireConnection } from './wire-messages.ts'
import { floatArray, intArray, numbersOf } from './wire-values.ts'

/** Who waits so much of the time of a statement for a lock has collided, which is no failure; a statement that is slow has failed. */
const lockShare = 3

/** What transactions work with. */
export interface TxContext {
  readonly ledger: string
  readonly names: SchemaNames
  /** After how long the server ends a statement, and a transaction in which nothing happens, milliseconds. */
  readonly statementMs: number
  readonly idleMs: number
  /** A number of 31 bits for the lock of a transaction. */
  readonly token: () => number
  /** False when what is known of the owner's leases may have been lost with a connection. */
  readonly knows: (claim: Claim) => boolean
}

/** Events for the commit, and their positions afterwards. */
interface LastAppend {
  readonly events: readonly NewEvent[]
  positions: readonly (number | null)[] | undefined
}

/** The transaction of one work. After {@link close} every method throws `HANDLE_CLOSED`. */
export class PostgresTx implements LedgerTx, HandleSource {
  readonly handle: TxHandle
  readonly #context: TxContext
  readonly #client: pg.PoolClient
  readonly #users: UserStatements
  readonly #changes = new RecordChanges()
  readonly #claims: Claim[] = []
  readonly #appended: EventRecord[] = []
  readonly #last: LastAppend[] = []
  #hasAppended = false
  #hasSaved = false
  readonly #token: number
  #begun = false
  /** The answer to BEGIN has come: its lock is held until it ends. */
  #isUnderWay = false
  #open = true
  #failure: { readonly error: unknown } | undefined

  constructor(client: pg.PoolClient, context: TxContext) {
    this.#client = client
    this.#users = new UserStatements(client)
    this.#context = context
    this.#token = context.token()
    this.handle = { kind: 'postgres', native: new GatedHandle(this) }
  }

  /** What was appended with the commit and is no duplicate; what came before may be gone with a savepoint. */
  get appended(): readonly EventRecord[] {
    return this.#appended
  }

  /** True when its commit appends events. */
  get appendsLast(): boolean {
    return this.#last.length > 0
  }

  /** True when it has appended before its commit; whether that stayed is not known. */
  get hasAppended(): boolean {
    return this.#hasAppended
  }

  /** True when there may be new events for others to read, or records of partitions that others hold. */
  get concernsOthers(): boolean {
    return this.#hasAppended || this.#appended.length > 0 || (this.#hasSaved && this.#claims.length === 0)
  }

  get broken(): { readonly error: unknown } | undefined {
    // A connection that ends while nothing is asked of it tells nobody.
    const error = this.#failure === undefined ? endOf(this.#client) : this.#failure.error
    return error === undefined ? undefined : { error }
  }

  check(what: string): void {
    if (!this.#open) throw new QuadrilleError('HANDLE_CLOSED', { what })
  }

  failed(error: unknown): unknown {
    // Of a connection that has ended before, pg only says that it has.
    const cause = isAway(error) ? (endOf(this.#client) ?? error) : error
    if (isFromServer(cause) || isAway(cause)) this.#failure ??= { error: cause }
    return cause
  }

  succeeded(): void {
    this.#failure = undefined
  }

  // Not async: its failure has to be known before that of a commit behind it.
  send(text: string | pg.QueryConfig, values?: readonly unknown[]): Promise<pg.QueryResult> {
    this.#begin()
    return this.#users.send(text, values)
  }

  /** Sends BEGIN, in one write with what is sent in this turn. */
  #begin(): void {
    if (this.#begun) return
    this.#begun = true
    const { stream } = this.#client.connection as unknown as WireConnection
    stream.cork()
    process.nextTick(() => {
      this.#users.flush()
      stream.uncork()
    })
    // Should it fail, so does what follows.
    runGroup(this.#client, [{ text: 'BEGIN' }, this.#guards()]).then(
      () => (this.#isUnderWay = true),
      (error: unknown) => this.failed(error),
    )
  }

  /** Ends the handle. */
  close(): void {
    this.#open = false
  }

  async hold(claim: Claim): Promise<void> {
    this.check('the transaction')
    if (!this.#context.knows(claim))
      throw new QuadrilleError('LEASE_LOST', { reader: claim.reader, partitions: [...claim.epochs.keys()] })
    this.#claims.push(claim)
  }

  side(sending: Sending): TxHandle {
    const native = new GatedHandle(this, sending)
    return { kind: 'postgres', native, close: () => native.close() }
  }

  async append(events: readonly NewEvent[]): Promise<readonly (number | null)[]> {
    if (events.length === 0) return []
    const rows = await this.#ask(this.#appendStatement(events))
    this.#hasAppended = true
    return numbersOf(rows[0]![0]!)
  }

  appendLast(events: readonly NewEvent[]): () => readonly (number | null)[] {
    this.check('the transaction')
    const last: LastAppend = { events, positions: events.length === 0 ? [] : undefined }
    if (events.length > 0) this.#last.push(last)
    return () => {
      invariant(last.positions !== undefined, 'positions are known after the commit')
      return last.positions
    }
  }

  async load(keys: readonly RecordKey[]): Promise<readonly (LedgerRecord | undefined)[]> {
    if (keys.length === 0) return []
    return loadedRecords(keys, await this.#ask(loadStatement(this.#context.names, keys)))
  }

  async query(query: RecordQuery): Promise<readonly LedgerRecord[]> {
    return (await this.#ask(queryStatement(this.#context.names, query))).map(recordOfRow)
  }

  async lanes(query: Parameters<LedgerTx['lanes']>[0]): Promise<ReadonlySet<string>> {
    if (query.lanes.length === 0) return new Set()
    const rows = await this.#ask(lanesStatement(this.#context.names, query))
    return new Set(rows.map(([lane]) => lane!))
  }

  async save(puts: readonly LedgerRecord[], removes: readonly RecordKey[] = []): Promise<void> {
    this.check('the transaction')
    this.#changes.add(puts, removes)
    this.#hasSaved = true
  }

  /**
   * Sends what was kept, and COMMIT, in one write.
   *
   * @throws QuadrilleError `LEASE_LOST`, `LEDGER_CONFLICT`, or `LEDGER_OUTCOME_UNKNOWN` when the connection was lost.
   */
  async commit(): Promise<void> {
    const events = this.#last.flatMap((last) => last.events)
    const statements = [...this.#claims.map((claim) => this.#holdStatement(claim)), ...this.#kept()]
    // Last, so that readers wait for as short as possible for what is drawn here.
    if (events.length > 0) statements.push(this.#appendStatement(events))
    const appendedAt = statements.length - 1
    if (this.#begun) statements.push({ text: 'COMMIT' })
    if (statements.length === 0) return
    // Nothing was sent: nobody needs to wonder.
    if (this.lostBy !== undefined) throw this.lostBy
    try {
      if (this.broken) throw this.broken.error
      const results = await this.#group(statements)
      if (events.length > 0) this.#dealPositions(this.#takePositions(events, results[appendedAt]!))
    } catch (error) {
      if (!isAway(error)) await this.rollback()
      throw this.#commitError(this.#cause(error))
    }
  }

  /**
   * Why it does not commit. That is a statement which the work did not wait for, or what is looked at as late as this: a
   * deferred constraint. Both are the work's own doing, see {@link LedgerTx.broken}.
   */
  #cause(error: unknown): unknown {
    if (isFromServer(error) && !isConflictError(error) && !hasState(error, leaseLostState)) this.failed(error)
    const isEcho = hasState(error, abortedState) || isQuadrilleError(error, 'INTERNAL')
    return isEcho && this.broken ? this.broken.error : error
  }

  /** How it can be found out whether it has committed; undefined when it can not, or finds out by itself. */
  get lostCommit(): LostCommit | undefined {
    const events = this.#last.flatMap((last) => last.events)
    if (this.#claims.length > 0 || events.length === 0 || (this.#begun && !this.#isUnderWay)) return undefined
    return { events, token: this.#token, kind: this.#begun ? 'open' : 'alone' }
  }

  /** It has committed, as was found out afterwards. */
  hasCommitted(positions: readonly (number | null)[]): void {
    this.#dealPositions(positions)
    this.#hasAppended = true
  }

  /** Undoes everything. Never throws: when the connection is gone the server does it by itself. */
  async rollback(): Promise<void> {
    // Not to be judged by the state of the connection: BEGIN, or what the work did not wait for, may be on its way.
    if (!this.#begun) return
    await this.#group([{ text: 'ROLLBACK' }]).catch(() => {})
  }

  /** Runs statements of the ledger's own, behind what the work has sent. */
  #group(statements: readonly Statement[]): Promise<readonly Rows[]> {
    this.#users.flush()
    return runGroup(this.#client, statements)
  }

  /** The connection was lost while the work was under way: nothing of it was committed, whatever it made of that. */
  get lostBy(): unknown {
    const error = this.broken?.error
    return isAway(error) ? error : undefined
  }

  /** Limits for what may hang, and a lock by which an heir finds the transaction of a process that sleeps. */
  #guards(): Statement {
    const { statementMs, idleMs, names } = this.#context
    const owners = this.#claims.map(({ reader, owner }) => `${reader} ${owner}`)
    const locks = owners.map(
      (_, index) => `, pg_advisory_xact_lock_shared(${names.locks.owners}, hashtext($${index + 5}))`,
    )
    return {
      text: `SELECT set_config('statement_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $2, true),
        set_config('lock_timeout', $3, true), pg_advisory_xact_lock_shared(${names.locks.outcomes}, $4)${locks.join('')}`,
      values: [statementMs, idleMs, Math.ceil(statementMs / lockShare), this.#token, ...owners],
    }
  }

  /** Reads the answer of `append_1`. */
  #takePositions(events: readonly NewEvent[], rows: Rows): readonly (number | null)[] {
    const positions = numbersOf(rows[0]![0]!)
    events.forEach((event, index) => {
      const position = positions[index]
      if (position !== null && position !== undefined) this.#appended.push(eventAt(position, event))
    })
    return positions
  }

  #dealPositions(positions: readonly (number | null)[]): void {
    let from = 0
    for (const last of this.#last) {
      last.positions = positions.slice(from, from + last.events.length)
      from += last.events.length
    }
  }

  #appendStatement(events: readonly NewEvent[]): Statement {
    const text = `SELECT ${this.#context.names.quoted}.append_1($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14)`
    return { text, values: appendValues(events) }
  }

  /** The error of a transaction in which a statement of the ledger's own has failed. */
  #commitError(error: unknown): unknown {
    const { ledger } = this.#context
    if (isAway(error)) return new QuadrilleError('LEDGER_OUTCOME_UNKNOWN', { ledger, message: messageOf(error) }, error)
    return this.#ownError(error)
  }

  #ownError(error: unknown): unknown {
    const { ledger } = this.#context
    if (hasState(error, leaseLostState)) {
      const partitions = String((error as { detail?: string }).detail ?? '')
      const reader = this.#claims[0]?.reader ?? ''
      return new QuadrilleError('LEASE_LOST', { reader, partitions: partitions.split(',').map(Number) }, error)
    }
    if (isConflictError(error))
      return new QuadrilleError('LEDGER_CONFLICT', { ledger, message: messageOf(error) }, error)
    return error
  }

  /** Runs a statement that is answered before the end, behind what it must see. */
  async #ask(statement: Statement): Promise<Rows> {
    this.check('the transaction')
    const kept = this.#kept()
    try {
      this.#begin()
      const results = await this.#group([...kept, statement])
      return results[kept.length]!
    } catch (error) {
      throw this.#ownError(this.#cause(this.failed(error)))
    }
  }

  /** What was saved and not sent yet. */
  #kept(): Statement[] {
    if (this.#changes.isEmpty) return []
    const statement = this.#changes.statement(this.#context.names)
    this.#changes.clear()
    return [statement]
  }

  #holdStatement({ reader, owner, epochs, position }: Claim): Statement {
    return {
      text: `SELECT ${this.#context.names.quoted}.hold_1($1,$2,$3,$4,$5)`,
      values: [
        reader,
        owner,
        intArray([...epochs.keys()]),
        floatArray([...epochs.values()]),
        position === undefined ? null : position,
      ],
    }
  }
}
