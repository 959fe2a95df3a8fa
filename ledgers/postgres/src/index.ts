/** `@quadrille/postgres`: the ledger on PostgreSQL. */
import {
  durationMs,
  numberOption,
  QuadrilleError,
  refuseOption,
  refuseUnknown,
  systemEnv,
  type Duration,
  type Ledger,
} from 'quadrille'
import { parse } from 'pg-connection-string'
import type pg from 'pg'
import { PostgresLedger, type PostgresLedgerSettings } from './postgres-ledger.ts'
import { schemaNames } from './schema-names.ts'

export {
  append,
  type AppendOptions,
  type DrizzleTransaction,
  type KyselyTransaction,
  type OpenTransaction,
  type PgTransaction,
  type PostgresJsTransaction,
} from './append-in.ts'
export { pgClient, type PostgresHandle } from './postgres-handle.ts'

/** Settings of {@link postgres}. All have defaults that are right for most. */
export interface PostgresOptions {
  /** The schema of the ledger's tables; ledgers of several schemas of one database know nothing of each other. Default `quadrille`. */
  readonly schema?: string
  /** Transactions at once, each on a connection of its own; three further connections are kept beside. Default 8. */
  readonly connections?: number
  /**
   * Where to listen for notifications. Default: where everything goes. Behind a pooler that hands out connections for a
   * transaction, give the server's own address here, or `false`: then what other processes append is found by looking
   * (`poll` of `start()`).
   */
  readonly listen?: string | false
  /** False: the tables must be there, in the newest version (see {@link migrationSql}). Default true. */
  readonly migrate?: boolean
  /** For how long a server that is away is waited for before `LEDGER_UNREACHABLE`. Default 10 s. */
  readonly connectWait?: Duration
  /** After this a statement of a transaction has failed. Default 30 s. */
  readonly statementTimeout?: Duration
  /** A transaction in which nothing happens for so long is ended by the server. Default 60 s. */
  readonly idleTimeout?: Duration
  /** The newest events kept in memory for the readers of this process: at most so many. Default 65,536. */
  readonly tailEvents?: number
  /** The same, in bytes. Default 64 MiB. */
  readonly tailBytes?: number
}

/**
 * A ledger in a schema of a PostgreSQL database (14 or newer). Your own tables live in the same database, and one
 * transaction covers both. Any number of processes on any number of machines may use it. Nothing happens before `open()`.
 *
 * @param url - As everywhere: `postgres://user:password@host:5432/database?sslmode=verify-full`. What it leaves out comes
 *   from the environment (`PGHOST`, `PGPASSWORD`, ...).
 * @throws QuadrilleError `OPTION_INVALID` or `DURATION_INVALID`.
 *
 * @example
 * ```ts
 * const app = await start({ services: checkout.services, ledger: postgres('postgres://shop@localhost/shop') })
 * ```
 */
export function postgres(url: string, options: PostgresOptions = {}): Ledger {
  return new PostgresLedger(settingsOf(url, options))
}

/**
 * The SQL that `open()` would run to make or migrate the tables, for those who let a person run it; empty when they are
 * up to date. Nothing is changed.
 *
 * @throws QuadrilleError `LEDGER_UNREACHABLE`, or `LEDGER_INCOMPATIBLE` when a newer version has made the tables.
 */
export function migrationSql(url: string, options: PostgresOptions = {}): Promise<string> {
  return new PostgresLedger(settingsOf(url, options)).migrationSql(systemEnv)
}

const optionNames: Readonly<Record<keyof PostgresOptions, true>> = {
  schema: true,
  connections: true,
  listen: true,
  migrate: true,
  connectWait: true,
  statementTimeout: true,
  idleTimeout: true,
  tailEvents: true,
  tailBytes: true,
}

function settingsOf(url: string, options: PostgresOptions): PostgresLedgerSettings {
  refuseUnknown(options, optionNames, { of: 'postgres()' })
  const client = clientOf(url)
  const number = (option: 'connections' | 'tailEvents' | 'tailBytes', otherwise: number, min = 0) =>
    numberOption(options[option] ?? otherwise, { option, min })
  return {
    ledger: `postgres ${placeOf(client)} ${options.schema ?? 'quadrille'}`,
    client,
    names: schemaNames(options.schema ?? 'quadrille'),
    transactions: number('connections', 8, 1),
    listen: options.listen === false ? undefined : options.listen === undefined ? client : clientOf(options.listen),
    migrates: options.migrate ?? true,
    connectWaitMs: durationMs(options.connectWait ?? '10s', 'connectWait'),
    statementMs: durationMs(options.statementTimeout ?? '30s', 'statementTimeout'),
    idleMs: durationMs(options.idleTimeout ?? '60s', 'idleTimeout'),
    tailEvents: number('tailEvents', 65_536),
    tailBytes: number('tailBytes', 64 * 1024 * 1024),
  }
}

/** As the driver understands it: an address, or the path of a socket. */
const connectionStrings = /^(postgres(ql)?:\/\/|socket:|\/)/

function clientOf(url: string): pg.ClientConfig {
  const refused = (why: string, cause?: unknown) => {
    const expected = `a connection string such as postgres://user@host/database (${why})`
    return new QuadrilleError('OPTION_INVALID', { option: 'url', value: '(not shown)', expected }, cause)
  }
  if (typeof url !== 'string') refuseOption(url, 'url', 'a connection string such as postgres://user@host/database')
  // The parser takes any text for the name of a database on a host that is called base.
  if (!connectionStrings.test(url)) throw refused('it begins with postgres://')
  try {
    const parsed = parse(url)
    return {
      connectionString: url,
      application_name: parsed['application_name'] ?? 'quadrille',
      keepAlive: true,
      connectionTimeoutMillis: 10_000,
    }
  } catch (error) {
    throw refused((error as Error).message, error)
  }
}

/** Where it is, without the password. */
function placeOf({ connectionString }: pg.ClientConfig): string {
  const { host, port, database } = parse(connectionString ?? '')
  return `${host ?? process.env['PGHOST'] ?? 'localhost'}:${port || process.env['PGPORT'] || 5432}/${database ?? ''}`
}
