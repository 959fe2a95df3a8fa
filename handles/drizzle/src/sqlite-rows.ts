/** Runs statements on the open transaction of a SQLite ledger, in the forms that Drizzle asks for. */
import { QuadrilleError } from 'quadrille'

type Value = null | number | bigint | string | Uint8Array
type Row = Record<string, unknown>

/** What is used of a `SqliteHandle` of `quadrille/sqlite`; node:sqlite's own DatabaseSync has it too. */
export interface SqliteNative {
  /** Prepares a statement, or takes the one already prepared for the same text. */
  prepare(sql: string): SqliteStatement
}

interface SqliteStatement {
  run(...values: Value[]): { changes: number | bigint; lastInsertRowid: number | bigint }
  all(...values: Value[]): Row[]
  columns(): readonly { readonly name: string }[]
}

/** SQL with its parameters in order. */
export interface BoundQuery {
  readonly sql: string
  readonly params: readonly unknown[]
}

/** How many rows a statement changed, and the id of the last one inserted. */
export function runQuery(
  native: SqliteNative,
  query: BoundQuery,
): { changes: number; lastInsertRowid: number | bigint } {
  const { changes, lastInsertRowid } = native.prepare(query.sql).run(...bindable(query.params))
  return { changes: Number(changes), lastInsertRowid }
}

/** The rows as objects by column name. */
export function objectsOf(native: SqliteNative, query: BoundQuery): Row[] {
  return native.prepare(query.sql).all(...bindable(query.params))
}

/**
 * The rows as lists of values in the order of the columns. Rows come as objects, in which two columns of one name (as in
 * `users.id, orders.id` of a join) would be one: around such a query goes another, in which SQLite makes names differ.
 */
export function listsOf(native: SqliteNative, query: BoundQuery): unknown[][] {
  let statement = native.prepare(query.sql)
  let names = namesOf(statement)
  if (new Set(names).size < names.length && /^\s*(select|with)\b/i.test(query.sql)) {
    statement = native.prepare(`select * from (${query.sql})`)
    names = namesOf(statement)
  }
  return statement.all(...bindable(query.params)).map((row) => names.map((name) => row[name]))
}

const namesOf = (statement: SqliteStatement): string[] => statement.columns().map((column) => column.name)

/** SQLite knows null, numbers, text and bytes. Booleans are 1 and 0, as its own TRUE and FALSE are. */
function bindable(parameters: readonly unknown[]): Value[] {
  return parameters.map((value, index) => {
    if (value === null) return value
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint') return value
    if (typeof value === 'boolean') return value ? 1 : 0
    if (value instanceof Uint8Array) return value
    const type = typeof value === 'object' ? value.constructor?.name || 'object' : typeof value
    throw new QuadrilleError('PARAMETER_UNSUPPORTED', { database: 'SQLite', index: index + 1, type })
  })
}
