/** The open transaction as a reaction of a service sees it: pg's `query`, which ends with the transaction. */
import pg from 'pg'
import { QuadrilleError, type DbAdapter, type LedgerTx, type TxHandle } from 'quadrille'
import { needsOwnTurn } from './own-turn.ts'
import { transactionControl } from './transaction-control.ts'

/**
 * The open transaction on the ledger's PostgreSQL database: what `handle.native` is, and what {@link pgClient} gives. It
 * has the `query` method of a client of pg, with promises.
 *
 * The transaction commits when the work returns and rolls back when it throws, so BEGIN, COMMIT, ROLLBACK and the like are
 * refused with `TRANSACTION_CONTROL`. SAVEPOINT, ROLLBACK TO and RELEASE are allowed. A statement that fails makes the
 * whole transaction useless, as always in PostgreSQL, unless it stands behind a savepoint that is rolled back to. After
 * the work, or the handler, has ended every use throws `HANDLE_CLOSED`.
 *
 * Statements that are sent without waiting for each other (`Promise.all`) go to the server in one write, and run there
 * one after the other.
 */
export interface PostgresHandle {
  query<Row extends pg.QueryResultRow = pg.QueryResultRow>(
    text: string | pg.QueryConfig,
    values?: readonly unknown[],
  ): Promise<pg.QueryResult<Row>>
  /** Rows as lists of values in the order of the columns. */
  query<Row extends unknown[]>(
    config: pg.QueryArrayConfig,
    values?: readonly unknown[],
  ): Promise<pg.QueryArrayResult<Row>>
  /** How values of a type (by its object id) are read, as pg itself does it. */
  readonly getTypeParser: typeof pg.types.getTypeParser
}

/** What a handle works on: a transaction, which begins with the first statement. */
export interface HandleSource {
  /** @throws QuadrilleError `HANDLE_CLOSED` when the transaction has ended. */
  check(what: string): void
  /** As `query` of pg. */
  send(text: string | pg.QueryConfig, values?: readonly unknown[]): Promise<pg.QueryResult>
  /** Called with every failure of a statement. @returns what to throw. */
  failed(error: unknown): unknown
  /** Called with every success: after a failure only a rollback to a savepoint has one. */
  succeeded(): void
}

/** See {@link LedgerTx.side}. */
export type Sending = Parameters<NonNullable<LedgerTx['side']>>[0]

/** Texts that were looked at and do not control the transaction; a service has few. */
const harmlessMax = 1_000

/** The {@link PostgresHandle} of one work. */
export class GatedHandle implements PostgresHandle {
  static readonly #harmless = new Set<string>()
  readonly getTypeParser = pg.types.getTypeParser
  readonly #source: HandleSource
  readonly #sending: Sending | undefined
  #open = true
  #unanswered = 0
  #whenAnswered: (() => void) | undefined

  /** @param sending - Called before each statement is sent; when it throws, the statement is not. */
  constructor(source: HandleSource, sending?: Sending) {
    this.#source = source
    this.#sending = sending
  }

  async query(text: string | pg.QueryConfig, values?: readonly unknown[]): Promise<never> {
    if (!this.#open) throw new QuadrilleError('HANDLE_CLOSED', { what: 'the handle' })
    this.#source.check('the handle')
    const sql = typeof text === 'string' ? text : text.text
    refuseControl(sql)
    this.#sending?.(needsOwnTurn(sql))
    this.#unanswered += 1
    try {
      const result = await this.#source.send(text, values)
      this.#source.succeeded()
      return result as never
    } catch (error) {
      throw this.#source.failed(error)
    } finally {
      this.#unanswered -= 1
      if (this.#unanswered === 0) this.#whenAnswered?.()
    }
  }

  /** See `TxHandle.close`. */
  close(): Promise<void> | undefined {
    this.#open = false
    if (this.#unanswered === 0) return undefined
    return new Promise((resolve) => (this.#whenAnswered = resolve))
  }

  static refuse(sql: string): void {
    if (this.#harmless.has(sql)) return
    const word = transactionControl(sql)
    if (word !== undefined) throw new QuadrilleError('TRANSACTION_CONTROL', { sql: word })
    if (this.#harmless.size === harmlessMax) this.#harmless.clear()
    this.#harmless.add(sql)
  }
}

const refuseControl = (sql: string): void => GatedHandle.refuse(sql)

/**
 * Gives the reactions of a service the open transaction as `query()` of pg.
 *
 * @throws QuadrilleError `HANDLE_UNSUPPORTED` when the ledger is not on PostgreSQL.
 *
 * @example
 * ```ts
 * const payments = service('payments', { db: pgClient() }).on(OrderCreated, async (order, { db }) => {
 *   await db.query('INSERT INTO payments (order_id) VALUES ($1)', [order.orderId])
 * })
 * ```
 */
export function pgClient(): DbAdapter<PostgresHandle> {
  return {
    name: 'pg',
    open(handle: TxHandle): PostgresHandle {
      if (handle.kind !== 'postgres')
        throw new QuadrilleError('HANDLE_UNSUPPORTED', { handle: 'pg', ledger: handle.kind })
      return handle.native as PostgresHandle
    },
  }
}
