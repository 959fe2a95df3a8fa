/** Hands a reaction its open transaction as a Kysely instance. */
import { Kysely, type KyselyPlugin, type Dialect } from 'kysely'
import { QuadrilleError, type DbAdapter, type TxHandle } from 'quadrille'
import { postgresDialect } from './postgres-dialect.ts'
import { sqliteDialect } from './sqlite-dialect.ts'

/** Options of {@link kysely}. */
export interface KyselyOptions {
  /** Plugins of Kysely, for example `new CamelCasePlugin()`. */
  readonly plugins?: readonly KyselyPlugin[]
}

/** How to speak with each kind of database. */
const dialects: Readonly<Record<string, (handle: TxHandle) => Dialect>> = {
  sqlite: sqliteDialect,
  postgres: postgresDialect,
}

/**
 * The `db` option of a service whose handlers write with Kysely. What they write commits together with the events
 * that they return. `db.transaction()` is refused with `TRANSACTION_CONTROL`: the reaction is the transaction.
 *
 * It works on a ledger on SQLite and on one on PostgreSQL. On PostgreSQL queries that do not wait for each other go to the
 * server in one write, values come as pg gives them (`count()` as text), and `stream()` gets all rows at once.
 *
 * On SQLite booleans are stored as 1 and 0, and are read as such; a Date must be made text or a number first, as
 * SQLite has no type for it (`PARAMETER_UNSUPPORTED`). A query after the handler has returned throws `HANDLE_CLOSED`.
 *
 * @typeParam Tables - The tables of the service, as Kysely describes them.
 * @throws QuadrilleError `HANDLE_UNSUPPORTED` when the ledger is of a kind that this package does not know.
 *
 * @example
 * ```ts
 * interface Tables {
 *   payments: { orderId: string; amount: number }
 * }
 * const payments = service('payments', { db: kysely<Tables>() }).on(OrderCreated, async (order, { db }) => {
 *   await db.insertInto('payments').values({ orderId: order.orderId, amount: order.total }).execute()
 * })
 * ```
 */
export function kysely<Tables>(options: KyselyOptions = {}): DbAdapter<Kysely<Tables>> {
  const plugins = options.plugins ? [...options.plugins] : []
  return {
    name: 'kysely',
    open(handle) {
      const dialect = dialects[handle.kind]
      if (!dialect) throw new QuadrilleError('HANDLE_UNSUPPORTED', { handle: '@quadrille/kysely', ledger: handle.kind })
      return new Kysely<Tables>({ dialect: dialect(handle), plugins })
    },
  }
}
