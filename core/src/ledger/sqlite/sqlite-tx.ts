/** One transaction as the runtime sees it. Everything in it is synchronous underneath; the promises are the contract's. */
import { QuadrilleError, type TxHandle } from '../../base/index.ts'
import type { EventRecord, NewEvent } from '../../contracts/index.ts'
import type { Claim, LedgerRecord, LedgerTx, RecordKey, RecordQuery } from '../ledger.ts'
import type { EventAppender } from './event-table.ts'
import type { LeaseWriter } from './lease-table.ts'
import type { LaneQuery, RecordReader, RecordWriter } from './record-table.ts'
import { GatedHandle, TxGate, type HandleSource, type SqliteHandle } from './sqlite-handle.ts'

/** What transactions work with: the tables over the writing connection. */
export interface TxTables {
  readonly source: HandleSource
  readonly events: EventAppender
  readonly records: RecordWriter
  readonly queries: RecordReader
  readonly leases: LeaseWriter
  /** Where appended events are collected until the commit. */
  readonly appended: EventRecord[]
  /** How many groups have failed: what was read of one of them is void. */
  failedGroups: number
  /** For errors. */
  readonly ledger: string
}

class SqliteTxHandle implements TxHandle {
  readonly kind = 'sqlite'
  readonly native: SqliteHandle

  constructor(native: SqliteHandle) {
    this.native = native
  }
}

/** The transaction of one work. After {@link close} every method throws `HANDLE_CLOSED`. */
export class SqliteTx implements LedgerTx {
  readonly handle: TxHandle
  readonly #tables: TxTables
  readonly #gate: TxGate

  constructor(tables: TxTables) {
    this.#tables = tables
    this.#gate = new TxGate(tables.source.db)
    this.handle = new SqliteTxHandle(new GatedHandle(this.#gate, tables.source))
  }

  /** Ends the handle and everything that was prepared with it. */
  close(): void {
    this.#gate.close()
  }

  async hold(claim: Claim): Promise<void> {
    const { leases, failedGroups, ledger } = this.#tables
    if (claim.basis !== undefined && claim.basis !== failedGroups)
      throw new QuadrilleError('LEDGER_PAGE_VOID', { ledger })
    this.#run(() => leases.hold(claim))
  }

  async append(events: readonly NewEvent[]): Promise<readonly (number | null)[]> {
    return this.#append(events)
  }

  appendLast(events: readonly NewEvent[]): () => readonly (number | null)[] {
    const positions = this.#append(events)
    return () => positions
  }

  get broken(): { readonly error: unknown } | undefined {
    return this.#gate.broken
  }

  #append(events: readonly NewEvent[]): readonly (number | null)[] {
    const { events: table, appended } = this.#tables
    return this.#run(() =>
      events.map((event) => {
        const record = table.append(event)
        if (record === undefined) return null
        appended.push(record)
        return record.position
      }),
    )
  }

  async load(keys: readonly RecordKey[]): Promise<readonly (LedgerRecord | undefined)[]> {
    return this.#run(() => keys.map((key) => this.#tables.records.get(key)))
  }

  async query(query: RecordQuery): Promise<readonly LedgerRecord[]> {
    return this.#run(() => this.#tables.queries.query(query))
  }

  async lanes(query: LaneQuery): Promise<ReadonlySet<string>> {
    return this.#run(() => this.#tables.records.lanes(query))
  }

  async save(puts: readonly LedgerRecord[], removes: readonly RecordKey[] = []): Promise<void> {
    const { records } = this.#tables
    this.#run(() => {
      for (const record of puts) records.put(record)
      for (const key of removes) records.remove(key)
    })
  }

  #run<T>(statements: () => T): T {
    this.#gate.check('the transaction')
    try {
      return statements()
    } catch (error) {
      this.#gate.failed(error)
      throw error
    }
  }
}
