/**
 * Statements of a service's tables in a simulation. SQLite runs transactions one after the other; at READ COMMITTED, the
 * default of PostgreSQL, one may read what was there before another one commits, and write after it. So a transaction can
 * be told to read from a copy of the tables, until it writes or locks for the first time: from then on it sees what is there.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { StatementCache } from '../ledger/sqlite/statement-cache.ts'

/** The rows of all tables, as lists. */
export type Snapshot = ReadonlyMap<string, readonly (readonly unknown[])[]>

/** What PostgreSQL knows and SQLite does not: with transactions one after the other, there is nothing to lock. */
const locking =
  /\s+for\s+(?:no\s+key\s+update|update|key\s+share|share)(?:\s+of\s+[\w",\s]+?)?(?:\s+(?:nowait|skip\s+locked))?\s*;?\s*$/i
const reading = /^\s*(?:select|values|explain|pragma|with)\b/i
const writing = /\b(?:insert|update|delete|replace)\b/i

const onlyReads = (sql: string): boolean => reading.test(sql) && !(/^\s*with\b/i.test(sql) && writing.test(sql))

/** See the top of this file. */
export class SimStatements extends StatementCache {
  readonly #db: DatabaseSync
  #copy: { readonly db: DatabaseSync; readonly statements: StatementCache } | undefined
  #readsCopy = false

  constructor(db: DatabaseSync) {
    super(db)
    this.#db = db
  }

  /** From now on, until something is written or locked, reads are of these rows. */
  readFrom(snapshot: Snapshot): void {
    this.#copy ??= this.#emptyCopy()
    const { db } = this.#copy
    for (const [table, rows] of snapshot) {
      const name = `"${table.replaceAll('"', '""')}"`
      db.exec(`DELETE FROM ${name}`)
      if (rows.length === 0) continue
      const insert = db.prepare(`INSERT INTO ${name} VALUES (${rows[0]!.map(() => '?').join()})`)
      for (const row of rows) insert.run(...(row as SQLInputValue[]))
    }
    this.#readsCopy = true
  }

  /** Reads are of what is there. */
  readCurrent(): void {
    this.#readsCopy = false
  }

  override get(sql: string, check?: (sql: string) => void): StatementSync {
    const plain = sql.replace(locking, '')
    if (this.#readsCopy) {
      if (plain === sql && onlyReads(sql)) return this.#copy!.statements.get(sql)
      this.#readsCopy = false
    }
    return super.get(plain, check)
  }

  close(): void {
    this.#copy?.db.close()
  }

  #emptyCopy(): { readonly db: DatabaseSync; readonly statements: StatementCache } {
    const db = new DatabaseSync(':memory:', { enableForeignKeyConstraints: false })
    const made = this.#db
      .prepare(
        `SELECT sql FROM sqlite_schema WHERE type IN ('table', 'view') AND sql IS NOT NULL AND name NOT LIKE 'sqlite_%'
         ORDER BY type, rowid`,
      )
      .all()
    for (const { sql } of made) db.exec(String(sql))
    return { db, statements: new StatementCache(db) }
  }
}
