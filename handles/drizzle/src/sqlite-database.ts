/** Drizzle on the open transaction of a SQLite ledger: a session that runs on the handle. */
import { createTableRelationsHelpers, extractTablesRelationalConfig, fillPlaceholders, NoopLogger } from 'drizzle-orm'
import type {
  ExtractTablesWithRelations,
  Logger,
  Query,
  RelationalSchemaConfig,
  TablesRelationalConfig,
} from 'drizzle-orm'
import { NoopCache } from 'drizzle-orm/cache/core'
import { BaseSQLiteDatabase, SQLiteAsyncDialect, SQLiteSession } from 'drizzle-orm/sqlite-core'
import { RemotePreparedQuery } from 'drizzle-orm/sqlite-proxy'
import { QuadrilleError, type TxHandle } from 'quadrille'
import { listsOf, objectsOf, runQuery, type SqliteNative } from './sqlite-rows.ts'

/** What `db.run()` and a write without `returning()` give. */
export interface DrizzleRunResult {
  /** How many rows were changed. */
  readonly changes: number
  readonly lastInsertRowid: number | bigint
}

/** The `db` of a handler: a Drizzle database for SQLite whose queries are awaited. */
export type DrizzleSqlite<Schema extends Record<string, unknown>> = BaseSQLiteDatabase<
  'async',
  DrizzleRunResult,
  Schema
>

type Prepare = SQLiteSession<'async', DrizzleRunResult, Record<string, unknown>, TablesRelationalConfig>['prepareQuery']
type PrepareArguments = Parameters<Prepare>

/** What all transactions share. */
interface Shared {
  readonly dialect: SQLiteAsyncDialect
  readonly logger: Logger
}

/** A prepared query knows the session's handle; only the mapping of rows is Drizzle's. */
class HandleQuery extends RemotePreparedQuery {
  readonly #native: SqliteNative
  readonly #logger: Logger
  readonly #query: Query
  /** True when nobody maps the rows: then they are wanted as objects. */
  readonly #plain: boolean

  constructor(native: SqliteNative, { logger }: Shared, prepare: PrepareArguments) {
    const [query, fields, method, inArrayMode, mapper, metadata] = prepare
    super(noClient, query, logger, noCache, metadata, undefined, fields, method, inArrayMode, mapper)
    this.#native = native
    this.#logger = logger
    this.#query = query
    this.#plain = fields === undefined && mapper === undefined
  }

  override async run(values: Record<string, unknown> = {}): Promise<DrizzleRunResult & { rows?: never }> {
    return runQuery(this.#native, this.#bound(values))
  }

  override async all(values: Record<string, unknown> = {}): Promise<unknown> {
    const bound = this.#bound(values)
    return this.#plain ? objectsOf(this.#native, bound) : this.mapAllResult(listsOf(this.#native, bound))
  }

  override async get(values: Record<string, unknown> = {}): Promise<unknown> {
    const bound = this.#bound(values)
    return this.#plain ? objectsOf(this.#native, bound)[0] : this.mapGetResult(listsOf(this.#native, bound)[0])
  }

  override async values<Row extends unknown[] = unknown[]>(values: Record<string, unknown> = {}): Promise<Row[]> {
    return listsOf(this.#native, this.#bound(values)) as Row[]
  }

  #bound(values: Record<string, unknown>): { sql: string; params: unknown[] } {
    const { sql } = this.#query
    const params = fillPlaceholders(this.#query.params, values)
    this.#logger.logQuery(sql, params)
    return { sql, params }
  }
}

const noCache = new NoopCache()
const noClient = async (): Promise<{ rows: unknown[] }> => ({ rows: [] })

class HandleSession<
  Schema extends Record<string, unknown>,
  Tables extends TablesRelationalConfig,
> extends SQLiteSession<'async', DrizzleRunResult, Schema, Tables> {
  readonly #native: SqliteNative
  readonly #shared: Shared

  constructor(native: SqliteNative, shared: Shared) {
    super(shared.dialect)
    this.#native = native
    this.#shared = shared
  }

  override prepareQuery(...prepare: PrepareArguments): ReturnType<Prepare> {
    return new HandleQuery(this.#native, this.#shared, prepare) as unknown as ReturnType<Prepare>
  }

  override async transaction(): Promise<never> {
    throw new QuadrilleError('TRANSACTION_CONTROL', { sql: 'begin' })
  }
}

/** What {@link sqliteOpener} needs. */
export interface SqliteOpenerOptions<Schema> {
  readonly schema?: Schema | undefined
  readonly casing?: 'snake_case' | 'camelCase'
  readonly logger?: Logger
}

/** Does what can be done once, and returns what opens a handle: cheap, as that happens for every transaction. */
export function sqliteOpener<Schema extends Record<string, unknown>>(
  options: SqliteOpenerOptions<Schema>,
): (handle: TxHandle) => DrizzleSqlite<Schema> {
  const shared: Shared = {
    dialect: new SQLiteAsyncDialect({ casing: options.casing }),
    logger: options.logger ?? new NoopLogger(),
  }
  const relations = options.schema && relationsOf(options.schema)
  return (handle) => {
    const session = new HandleSession<Schema, ExtractTablesWithRelations<Schema>>(handle.native as SqliteNative, shared)
    return new BaseSQLiteDatabase('async', shared.dialect, session, relations)
  }
}

function relationsOf<Schema extends Record<string, unknown>>(
  schema: Schema,
): RelationalSchemaConfig<ExtractTablesWithRelations<Schema>> {
  const found = extractTablesRelationalConfig<ExtractTablesWithRelations<Schema>>(schema, createTableRelationsHelpers)
  return { fullSchema: schema, schema: found.tables, tableNamesMap: found.tableNamesMap }
}
