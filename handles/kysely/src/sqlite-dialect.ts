/** Kysely on the open transaction of a SQLite ledger: one connection, which is the handle itself. */
import { SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely'
import type { CompiledQuery, DatabaseConnection, Dialect, QueryResult } from 'kysely'
import { QuadrilleError, type TxHandle } from 'quadrille'
import { handleDialect, type DatabaseParts } from './handle-dialect.ts'

type Value = null | number | bigint | string | Uint8Array

/** What is used of a `SqliteHandle` of `quadrille/sqlite`; node:sqlite's own DatabaseSync has it too. */
interface SqliteNative {
  prepare(sql: string): {
    run(...values: Value[]): { changes: number | bigint; lastInsertRowid: number | bigint }
    all(...values: Value[]): unknown[]
    iterate(...values: Value[]): Iterable<unknown>
    columns(): readonly unknown[]
  }
}

/** The handle runs one statement at a time by itself, so Kysely need not queue for its connection. */
class HandleAdapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true
  }
}

const parts: DatabaseParts = {
  adapter: new HandleAdapter(),
  compiler: new SqliteQueryCompiler(),
  introspector: (db) => new SqliteIntrospector(db),
}

/** The dialect that runs on this handle. */
export const sqliteDialect = (handle: TxHandle): Dialect =>
  handleDialect(new HandleConnection(handle.native as SqliteNative), parts)

class HandleConnection implements DatabaseConnection {
  readonly #native: SqliteNative

  constructor(native: SqliteNative) {
    this.#native = native
  }

  async executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    const statement = this.#native.prepare(query.sql)
    const values = bindable(query.parameters)
    const { kind } = query.query
    const reads = kind === 'SelectQueryNode' || statement.columns().length > 0
    if (reads) {
      const rows = statement.all(...values) as Row[]
      return kind === 'SelectQueryNode' ? { rows } : { rows, numAffectedRows: BigInt(rows.length) }
    }
    const { changes, lastInsertRowid } = statement.run(...values)
    const inserted = kind === 'InsertQueryNode' && changes > 0
    return {
      rows: [],
      numAffectedRows: BigInt(changes),
      ...(inserted ? { insertId: BigInt(lastInsertRowid) } : {}),
    }
  }

  async *streamQuery<Row>(query: CompiledQuery): AsyncGenerator<QueryResult<Row>> {
    const rows = this.#native.prepare(query.sql).iterate(...bindable(query.parameters)) as Iterable<Row>
    for (const row of rows) yield { rows: [row] }
  }
}

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
