/** One connection to the database file, set up the way this ledger needs it. */
import { DatabaseSync } from 'node:sqlite'
import { StatementCache } from './statement-cache.ts'

/**
 * How long SQLite itself waits for a lock. It blocks the event loop meanwhile, so it only bridges the short moments in
 * which another process commits; anything longer is waited for with timers.
 */
const blockingWaitMs = 2

/**
 * Pages after which a commit also moves the WAL into the database: 8 MiB. More would move pages that change often less
 * often, but hold up the event loop for longer (measured: 15 ms at 2,000 pages, 40 ms at 8,000, with no gain).
 */
const autocheckpointPages = 2_000

/** What is left of the WAL file after a checkpoint, at most. */
const walKeptBytes = 64 * 1024 * 1024

/** How a connection is opened. */
export interface ConnectionOptions {
  readonly path: string
  readonly synchronous: 'FULL' | 'NORMAL'
  readonly cacheBytes: number
  /** Refuses to write. */
  readonly readOnly: boolean
}

/** A connection and its prepared statements. */
export interface Connection {
  readonly db: DatabaseSync
  readonly statements: StatementCache
}

/** Opens a connection. Fails with SQLite's own error, which is retryable when it is busy. */
export function openConnection(options: ConnectionOptions): Connection {
  const db = new DatabaseSync(options.path, { timeout: blockingWaitMs })
  try {
    db.exec('PRAGMA journal_mode = WAL')
    db.exec(`PRAGMA synchronous = ${options.synchronous}`)
    // In memory, so that a savepoint does not spill the pages it may have to restore to a temporary file.
    db.exec('PRAGMA temp_store = MEMORY')
    db.exec(`PRAGMA cache_size = -${Math.ceil(options.cacheBytes / 1024)}`)
    db.exec(`PRAGMA wal_autocheckpoint = ${autocheckpointPages}`)
    db.exec(`PRAGMA journal_size_limit = ${walKeptBytes}`)
    // Not opened read-only: such a connection could not recover the WAL of a process that was killed.
    if (options.readOnly) db.exec('PRAGMA query_only = ON')
    return { db, statements: new StatementCache(db) }
  } catch (error) {
    db.close()
    throw error
  }
}
