/** The open transaction as a reaction of a service sees it: statements of node:sqlite that end with the transaction. */
import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementResultingChanges, StatementSync } from 'node:sqlite'
import { QuadrilleError, type DbAdapter, type TxHandle } from '../../base/index.ts'
import { transactionControl } from './transaction-control.ts'
import type { StatementCache } from './statement-cache.ts'

/** A row, by column name. */
export type SqliteRow = Record<string, SQLOutputValue>

/** A prepared statement of the open transaction. Any use after the transaction throws `HANDLE_CLOSED`. */
export interface SqliteStatement {
  /** Runs it and tells how many rows changed. */
  run(...params: SQLInputValue[]): StatementResultingChanges
  /** The first row, or undefined. */
  get(...params: SQLInputValue[]): SqliteRow | undefined
  /** All rows. */
  all(...params: SQLInputValue[]): SqliteRow[]
  /** One row after the other; what is left when the transaction ends is dropped. */
  iterate(...params: SQLInputValue[]): IterableIterator<SqliteRow>
  /** The columns of its rows, by name and where they come from. */
  columns(): ReturnType<StatementSync['columns']>
}

/**
 * The open transaction on the ledger's SQLite database: what `handle.native` is, and what {@link nodeSqlite} gives.
 *
 * The transaction commits when the work returns and rolls back when it throws, so BEGIN, COMMIT, END, ROLLBACK,
 * SAVEPOINT and RELEASE are refused with `TRANSACTION_CONTROL`. After the work has ended every use throws
 * `HANDLE_CLOSED`, also of statements that were prepared before.
 */
export interface SqliteHandle {
  /** Prepares a statement, or takes the one already prepared for the same text. */
  prepare(sql: string): SqliteStatement
  /** Runs one or more statements without parameters. */
  exec(sql: string): void
}

/** The connection that handles write through. */
export interface HandleSource {
  readonly db: DatabaseSync
  readonly statements: StatementCache
}

function refuseControl(sql: string): void {
  const word = transactionControl(sql)
  if (word !== undefined) throw new QuadrilleError('TRANSACTION_CONTROL', { sql: word })
}

/** Whether the transaction can still be used. Shared by everything that was handed out for one work. */
export class TxGate {
  readonly #db: DatabaseSync
  #open = true
  #broken: { readonly error: unknown } | undefined
  #iterators: Set<Iterator<SqliteRow>> | undefined

  constructor(db: DatabaseSync) {
    this.#db = db
  }

  /** @throws QuadrilleError `HANDLE_CLOSED` after {@link close}, or after SQLite has rolled back by itself. */
  check(what: string): void {
    if (!this.#open) throw new QuadrilleError('HANDLE_CLOSED', { what })
  }

  /**
   * Called with every failure of a statement. Some failures (disk full, ON CONFLICT ROLLBACK) end the transaction, and
   * what came next would commit one by one.
   */
  failed(error: unknown): void {
    if (this.#db.isTransaction) return
    this.#open = false
    this.#broken ??= { error }
  }

  /** See {@link LedgerTx.broken}. */
  get broken(): { readonly error: unknown } | undefined {
    return this.#broken
  }

  /** Ends `iterator` with the transaction: an open one would keep the database from checkpointing. */
  watch(iterator: Iterator<SqliteRow>): void {
    this.#iterators ??= new Set()
    this.#iterators.add(iterator)
  }

  close(): void {
    this.#open = false
    if (this.#iterators) for (const iterator of this.#iterators) iterator.return?.()
  }
}

class GatedStatement implements SqliteStatement {
  readonly #gate: TxGate
  readonly #statement: StatementSync
  readonly #source: HandleSource

  constructor(gate: TxGate, statement: StatementSync, source: HandleSource) {
    this.#gate = gate
    this.#statement = statement
    this.#source = source
  }

  run(...params: SQLInputValue[]): StatementResultingChanges {
    this.#gate.check('a statement')
    try {
      return this.#statement.run(...params)
    } catch (error) {
      this.#gate.failed(error)
      throw error
    }
  }

  get(...params: SQLInputValue[]): SqliteRow | undefined {
    this.#gate.check('a statement')
    try {
      return this.#statement.get(...params)
    } catch (error) {
      this.#gate.failed(error)
      throw error
    }
  }

  all(...params: SQLInputValue[]): SqliteRow[] {
    this.#gate.check('a statement')
    try {
      return this.#statement.all(...params)
    } catch (error) {
      this.#gate.failed(error)
      throw error
    }
  }

  *iterate(...params: SQLInputValue[]): IterableIterator<SqliteRow> {
    this.#gate.check('a statement')
    // A statement of its own: the shared one would be reset by whoever runs the same text meanwhile.
    const rows = this.#source.db.prepare(this.#statement.sourceSQL).iterate(...params)
    this.#gate.watch(rows)
    try {
      for (;;) {
        this.#gate.check('an iterator')
        const next = rows.next()
        if (next.done) return
        yield next.value
      }
    } finally {
      rows.return?.()
    }
  }

  columns(): ReturnType<StatementSync['columns']> {
    this.#gate.check('a statement')
    return this.#statement.columns()
  }
}

/** The {@link SqliteHandle} of one work. */
export class GatedHandle implements SqliteHandle {
  readonly #gate: TxGate
  readonly #source: HandleSource

  constructor(gate: TxGate, source: HandleSource) {
    this.#gate = gate
    this.#source = source
  }

  prepare(sql: string): SqliteStatement {
    this.#gate.check('the handle')
    return new GatedStatement(this.#gate, this.#source.statements.get(sql, refuseControl), this.#source)
  }

  exec(sql: string): void {
    this.#gate.check('the handle')
    refuseControl(sql)
    try {
      this.#source.db.exec(sql)
    } catch (error) {
      this.#gate.failed(error)
      throw error
    }
  }
}

/**
 * Gives the reactions of a service the open transaction as statements in node:sqlite's own shape.
 *
 * @example
 * ```ts
 * const payments = service('payments', { db: nodeSqlite() }).on(OrderCreated, {}, (order, { db }) => {
 *   db.prepare('INSERT INTO payments (order_id) VALUES (?)').run(order.orderId)
 * })
 * ```
 */
export function nodeSqlite(): DbAdapter<SqliteHandle> {
  const name = 'node:sqlite'
  return {
    name,
    open(handle: TxHandle): SqliteHandle {
      if (handle.kind !== 'sqlite')
        throw new QuadrilleError('HANDLE_UNSUPPORTED', { handle: name, ledger: handle.kind })
      return handle.native as SqliteHandle
    },
  }
}
