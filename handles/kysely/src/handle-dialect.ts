/** What the dialects of both databases share: one connection, which is the open transaction and not Kysely's to end. */
import type {
  DatabaseConnection,
  DatabaseIntrospector,
  Dialect,
  DialectAdapter,
  Driver,
  Kysely,
  QueryCompiler,
} from 'kysely'
import { QuadrilleError } from 'quadrille'

/** What differs between databases. A compiler starts afresh with every query and never awaits, so all handles can share one. */
export interface DatabaseParts {
  readonly adapter: DialectAdapter
  readonly compiler: QueryCompiler
  readonly introspector: (db: Kysely<unknown>) => DatabaseIntrospector
}

/** The dialect that runs on this connection. Cheap: it is made for every transaction. */
export function handleDialect(connection: DatabaseConnection, parts: DatabaseParts): Dialect {
  const driver = new HandleDriver(connection)
  return {
    createDriver: () => driver,
    createQueryCompiler: () => parts.compiler,
    createAdapter: () => parts.adapter,
    createIntrospector: (db) => parts.introspector(db as Kysely<unknown>),
  }
}

const refuse = async (sql: string): Promise<never> => {
  throw new QuadrilleError('TRANSACTION_CONTROL', { sql })
}

class HandleDriver implements Driver {
  readonly #connection: DatabaseConnection

  constructor(connection: DatabaseConnection) {
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
