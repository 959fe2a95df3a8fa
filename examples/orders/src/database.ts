/** Where the shop keeps its data. The one place that knows which database it is: handlers, queries and tables do not. */
import { kysely } from '@quadrille/kysely'
import type { Kysely } from 'kysely'
import { DatabaseSync } from 'node:sqlite'
import type { Ledger } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import { migrate, type ShopTables } from './tables.ts'

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

/** Opens it with all tables in place. Several processes may do so at the same time. */
export async function openDatabase(file: string): Promise<Database> {
  const writing = new DatabaseSync(file, { timeout: 10_000 })
  writing.exec('PRAGMA journal_mode = WAL')
  await migrate(overNative(writing))
  writing.close()
  const reading = new DatabaseSync(file, { readOnly: true })
  return { ledger: sqlite(file), tables: overNative(reading), close: async () => reading.close() }
}

const overNative = (native: DatabaseSync): Kysely<ShopTables> => kysely<ShopTables>().open({ kind: 'sqlite', native })
