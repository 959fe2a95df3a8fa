/** The outside world of the tests: a file of its own, written outside of every transaction of the ledger. */
import { DatabaseSync } from 'node:sqlite'

/** Opens it; several processes may. */
export function openOutside(path: string): DatabaseSync {
  const db = new DatabaseSync(path, { timeout: 10_000 })
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF')
  db.exec(`CREATE TABLE IF NOT EXISTS calls (key TEXT NOT NULL, subject TEXT NOT NULL, what TEXT NOT NULL, pid INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS charges (key TEXT PRIMARY KEY, order_id TEXT NOT NULL, amount INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS refunds (key TEXT PRIMARY KEY, order_id TEXT NOT NULL, amount INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS deaths (subject TEXT NOT NULL, pid INTEGER NOT NULL)`)
  return db
}

/** Opens it at the first use, so that a process that never needs it does not pay for it. */
export function lazily(path: string): () => DatabaseSync {
  let db: DatabaseSync | undefined
  return () => (db ??= openOutside(path))
}
