/** Hands a reaction its open transaction as a Drizzle database. */
import type { Logger } from 'drizzle-orm'
import { QuadrilleError, type DbAdapter } from 'quadrille'
import { postgresOpener, type DrizzlePostgres } from './postgres-database.ts'
import { sqliteOpener, type DrizzleSqlite } from './sqlite-database.ts'

export type { DrizzlePostgres, DrizzlePostgresResult, DrizzlePostgresResultHKT } from './postgres-database.ts'
export type { DrizzleRunResult, DrizzleSqlite } from './sqlite-database.ts'

/** Options of {@link drizzle}. */
export interface DrizzleOptions {
  /** Column names in the database when the schema does not give them. */
  readonly casing?: 'snake_case' | 'camelCase'
  /** Gets every query with its parameters; for example Drizzle's `DefaultLogger`. */
  readonly logger?: Logger
}

/**
 * The `db` option of a service whose handlers write with Drizzle on a ledger on SQLite. What they write commits together with the events
 * that they return. `db.transaction()` is refused with `TRANSACTION_CONTROL`: the reaction is the transaction.
 *
 * Errors of the database arrive as they are, without Drizzle's own error around them. In raw SQL booleans are stored as 1
 * and 0; a Date must be made text or a number first (`PARAMETER_UNSUPPORTED`), or be written through a column that says
 * how. A query after the handler has returned throws `HANDLE_CLOSED`.
 *
 * @param schema - Tables and relations; only needed for `db.query`.
 * @throws QuadrilleError `HANDLE_UNSUPPORTED` when the ledger is not on SQLite; see {@link drizzlePostgres}.
 *
 * @example
 * ```ts
 * const payments = sqliteTable('payments', { orderId: text('order_id').primaryKey(), amount: integer() })
 * const paymentService = service('payments', { db: drizzle() }).on(OrderCreated, async (order, { db }) => {
 *   await db.insert(payments).values({ orderId: order.orderId, amount: order.total })
 * })
 * ```
 */
export function drizzle<Schema extends Record<string, unknown> = Record<string, never>>(
  schema?: Schema,
  options: DrizzleOptions = {},
): DbAdapter<DrizzleSqlite<Schema>> {
  const sqlite = sqliteOpener({ schema, ...options })
  return {
    name: 'drizzle',
    open(handle) {
      if (handle.kind === 'sqlite') return sqlite(handle)
      throw new QuadrilleError('HANDLE_UNSUPPORTED', { handle: '@quadrille/drizzle', ledger: handle.kind })
    },
  }
}

/**
 * The `db` option of a service whose handlers write with Drizzle on a ledger on PostgreSQL. What they write commits
 * together with the events that they return. `db.transaction()` is refused with `TRANSACTION_CONTROL`: the reaction is the
 * transaction. Queries that do not wait for each other go to the server in one write.
 *
 * Errors of the database arrive in Drizzle's own error, as its `cause`. A query after the handler has returned throws
 * `HANDLE_CLOSED`.
 *
 * @param schema - Tables and relations; only needed for `db.query`.
 * @throws QuadrilleError `HANDLE_UNSUPPORTED` when the ledger is not on PostgreSQL.
 *
 * @example
 * ```ts
 * const payments = pgTable('payments', { orderId: text('order_id').primaryKey(), amount: integer() })
 * const paymentService = service('payments', { db: drizzlePostgres() }).on(OrderCreated, async (order, { db }) => {
 *   await db.insert(payments).values({ orderId: order.orderId, amount: order.total })
 * })
 * ```
 */
export function drizzlePostgres<Schema extends Record<string, unknown> = Record<string, never>>(
  schema?: Schema,
  options: DrizzleOptions = {},
): DbAdapter<DrizzlePostgres<Schema>> {
  const opener = postgresOpener({ schema, ...options })
  return {
    name: 'drizzle',
    open(handle) {
      if (handle.kind === 'postgres') return opener(handle)
      throw new QuadrilleError('HANDLE_UNSUPPORTED', { handle: '@quadrille/drizzle', ledger: handle.kind })
    },
  }
}
