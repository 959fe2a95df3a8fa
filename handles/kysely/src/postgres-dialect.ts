/** Kysely on the open transaction of a PostgreSQL ledger: one connection, which is the handle itself. */
import { PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely'
import type { CompiledQuery, DatabaseConnection, Dialect, QueryResult } from 'kysely'
import type { TxHandle } from 'quadrille'
import { handleDialect, type DatabaseParts } from './handle-dialect.ts'

/** What is used of a `PostgresHandle` of `@quadrille/postgres`; a client of pg has it too. */
interface PostgresNative {
  query(
    text: string,
    values: readonly unknown[],
  ): Promise<{ command: string; rowCount: number | null; rows: unknown[] }>
}

const parts: DatabaseParts = {
  adapter: new PostgresAdapter(),
  compiler: new PostgresQueryCompiler(),
  introspector: (db) => new PostgresIntrospector(db),
}
const changing = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE'])

/** The dialect that runs on this handle. */
export const postgresDialect = (handle: TxHandle): Dialect =>
  handleDialect(new HandleConnection(handle.native as PostgresNative), parts)

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
