/** Drizzle on the open transaction of a PostgreSQL ledger: a session that runs on the handle. */
import { createTableRelationsHelpers, extractTablesRelationalConfig, type Logger } from 'drizzle-orm'
import type { ExtractTablesWithRelations, RelationalSchemaConfig, TablesRelationalConfig } from 'drizzle-orm'
import { PgDatabase, PgDialect, type PgQueryResultHKT } from 'drizzle-orm/pg-core'
import { PgRemoteSession } from 'drizzle-orm/pg-proxy'
import { QuadrilleError, type TxHandle } from 'quadrille'

/** What `db.execute()` and a write without `returning()` give. */
export interface DrizzlePostgresResult<Row> {
  readonly command: string
  /** How many rows were changed, or selected. */
  readonly rowCount: number | null
  readonly rows: Row[]
}

/** Tells Drizzle's types that results are {@link DrizzlePostgresResult}. */
export interface DrizzlePostgresResultHKT extends PgQueryResultHKT {
  type: DrizzlePostgresResult<this['row']>
}

/** The `db` of a handler: a Drizzle database for PostgreSQL. */
export type DrizzlePostgres<Schema extends Record<string, unknown>> = PgDatabase<DrizzlePostgresResultHKT, Schema>

type TypeParser = (value: string) => unknown

/** What is used of a `PostgresHandle` of `@quadrille/postgres`; a client of pg has it too. */
interface PostgresNative {
  query(config: {
    text: string
    values: unknown[]
    rowMode?: 'array'
    types: { getTypeParser(oid: number, format?: string): TypeParser }
  }): Promise<DrizzlePostgresResult<never>>
  getTypeParser(oid: number, format?: string): TypeParser
}

/** date, timestamp, timestamptz, interval, and arrays of these and of numeric: Drizzle's columns read them themselves. */
const readByDrizzle = new Set([1082, 1114, 1184, 1186, 1231, 1115, 1185, 1187, 1182])
const asText: TypeParser = (value) => value

class HandleSession<
  Schema extends Record<string, unknown>,
  Tables extends TablesRelationalConfig,
> extends PgRemoteSession<Schema, Tables> {
  override async transaction(): Promise<never> {
    throw new QuadrilleError('TRANSACTION_CONTROL', { sql: 'begin' })
  }
}

/** What {@link postgresOpener} needs. */
export interface PostgresOpenerOptions<Schema> {
  readonly schema?: Schema | undefined
  readonly casing?: 'snake_case' | 'camelCase' | undefined
  readonly logger?: Logger | undefined
}

/** Does what can be done once, and returns what opens a handle: cheap, as that happens for every transaction. */
export function postgresOpener<Schema extends Record<string, unknown>>(
  options: PostgresOpenerOptions<Schema>,
): (handle: TxHandle) => DrizzlePostgres<Schema> {
  const dialect = new PgDialect(options.casing ? { casing: options.casing } : {})
  const relations = options.schema && relationsOf(options.schema)
  const logging = options.logger ? { logger: options.logger } : {}
  return (handle) => {
    const session = new HandleSession<Schema, ExtractTablesWithRelations<Schema>>(
      runOn(handle.native as PostgresNative),
      dialect,
      relations,
      logging,
    )
    return new PgDatabase(dialect, session as never, relations as never) as DrizzlePostgres<Schema>
  }
}

/** Runs queries in the forms that Drizzle asks for: lists of values to map, or (`execute`) the driver's own result. */
function runOn(native: PostgresNative) {
  const types = {
    getTypeParser: (oid: number, format?: string) =>
      readByDrizzle.has(oid) ? asText : native.getTypeParser(oid, format),
  }
  return async (text: string, values: unknown[], method: string): Promise<{ rows: never[] }> => {
    if (method === 'all') return native.query({ text, values, types, rowMode: 'array' })
    // Drizzle hands on what stands in `rows`.
    return { rows: (await native.query({ text, values, types })) as unknown as never[] }
  }
}

function relationsOf<Schema extends Record<string, unknown>>(
  schema: Schema,
): RelationalSchemaConfig<ExtractTablesWithRelations<Schema>> {
  const found = extractTablesRelationalConfig<ExtractTablesWithRelations<Schema>>(schema, createTableRelationsHelpers)
  return { fullSchema: schema, schema: found.tables, tableNamesMap: found.tableNamesMap }
}
