/** Kysely on the open transaction of a SQLite ledger: one connection, which is the handle itself. */
import { SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely'
import type { CompiledQuery, DatabaseConnection, Dialect, Driver, QueryResult } from 'kysely'
import { QuadrilleError, type TxHandle } from 'quadrille'

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

const adapter = new HandleAdapter()
// A compiler starts afresh with every query and never awaits, so all handles can share one.
const compiler = new SqliteQueryCompiler()

/** The dialect that runs on this handle. Cheap: it is made for every transaction. */
export function sqliteDialect(handle: TxHandle): Dialect {
  const driver = new HandleDriver(new HandleConnection(handle.native as SqliteNative))
  return {
    createDriver: () => driver,
    createQueryCompiler: () => compiler,
    createAdapter: () => adapter,
    createIntrospector: (db) => new SqliteIntrospector(db),
  }
}

const refuse = async (sql: string): Promise<never> => {
  throw new QuadrilleError('TRANSACTION_CONTROL', { sql })
}

class HandleDriver implements Driver {
  readonly #connection: HandleConnection

  constructor(connection: HandleConnection) {
    this.#connection = connection
  }

  init = async (): Promise<void> => {}
  acquireConnection = async (): Promise<DatabaseConnection> => this.#connection
  releaseConnection = async (): Promise<void> => {}
  destroy = async (): Promise<void> => {}
  beginTransaction = (): Promise<void> => refuse('begin')
  commitTransaction = (): Promise<void> => refuse('commit')
  // Kysely rolls back when begin has failed; it must not hide why.
  rollbackTransaction = async (): Promise<void> => {}
}

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
