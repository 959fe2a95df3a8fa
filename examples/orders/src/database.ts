/** Where the shop keeps its data. The one place that knows which database it is: handlers, queries and tables do not. */
import { kysely } from '@quadrille/kysely'
import { postgres } from '@quadrille/postgres'
import type { Kysely } from 'kysely'
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import type { Ledger, TxHandle } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import { migrate, newestTable, type ShopTables } from './tables.ts'

/** What one can only read from. */
export type Readable<Tables> = Pick<Kysely<Tables>, 'selectFrom'>

export interface Database {
  /** What the services run on. */
  readonly ledger: Ledger
  /** For reading beside them, on a connection of its own that waits for nobody. */
  readonly tables: Readable<ShopTables>
  /** Ends the reading; the ledger is closed by whoever has opened it. */
  close(): Promise<void>
}

/** Opens `postgres://...`, or else a SQLite file, with all tables in place. Several processes may do so at the same time. */
export const openDatabase = (address: string): Promise<Database> =>
  /^postgres(ql)?:/.test(address) ? openPostgres(address) : openSqlite(address)

async function openSqlite(file: string): Promise<Database> {
  const writing = new DatabaseSync(file, { timeout: 10_000 })
  writing.exec('PRAGMA journal_mode = WAL')
  await migrate(through('sqlite', writing))
  writing.close()
  const reading = new DatabaseSync(file, { readOnly: true })
  return { ledger: sqlite(file), tables: through('sqlite', reading), close: async () => reading.close() }
}

async function openPostgres(url: string): Promise<Database> {
  const pool = new pg.Pool({ connectionString: url, max: 2 })
  // When the server is restarted the next query gets a new connection.
  pool.on('error', () => {})
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    // Two processes that make the same table at the same time would fail.
    await client.query('SELECT pg_advisory_xact_lock($1)', [migrationLock])
    const { rows } = await client.query<{ isThere: boolean }>('SELECT to_regclass($1) IS NOT NULL AS "isThere"', [
      newestTable,
    ])
    if (!rows[0]!.isThere) await migrate(through('postgres', client))
    await client.query('COMMIT')
  } finally {
    client.release()
  }
  return { ledger: postgres(url), tables: through('postgres', pool), close: () => pool.end() }
}

const migrationLock = 20_261_126

const through = (kind: TxHandle['kind'], native: object): Kysely<ShopTables> =>
  kysely<ShopTables>().open({ kind, native })
