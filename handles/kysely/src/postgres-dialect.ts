/** Kysely on the open transaction of a PostgreSQL ledger: one connection, which is the handle itself. */
import { PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely'
import type { CompiledQuery, DatabaseConnection, Dialect, Driver, QueryResult } from 'kysely'
import { QuadrilleError, type TxHandle } from 'quadrille'

/** What is used of a `PostgresHandle` of `@quadrille/postgres`; a client of pg has it too. */
interface PostgresNative {
  query(
    text: string,
    values: readonly unknown[],
  ): Promise<{ command: string; rowCount: number | null; rows: unknown[] }>
}

const adapter = new PostgresAdapter()
// A compiler starts afresh with every query and never awaits, so all handles can share one.
const compiler = new PostgresQueryCompiler()
const changing = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE'])

/** The dialect that runs on this handle. Cheap: it is made for every transaction. */
export function postgresDialect(handle: TxHandle): Dialect {
  const driver = new HandleDriver(new HandleConnection(handle.native as PostgresNative))
  return {
    createDriver: () => driver,
    createQueryCompiler: () => compiler,
    createAdapter: () => adapter,
    createIntrospector: (db) => new PostgresIntrospector(db),
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
  readonly #native: PostgresNative

  constructor(native: PostgresNative) {
    this.#native = native
  }

  async executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    const { command, rowCount, rows } = await this.#native.query(query.sql, query.parameters)
    const result = { rows: (rows ?? []) as Row[] }
    return changing.has(command) ? { ...result, numAffectedRows: BigInt(rowCount ?? 0) } : result
  }

  /** All rows come with one answer: a cursor of its own would outlive the statement that a batch waits for. */
  async *streamQuery<Row>(query: CompiledQuery): AsyncGenerator<QueryResult<Row>> {
    const { rows } = await this.executeQuery<Row>(query)
    for (const row of rows) yield { rows: [row] }
  }
}
