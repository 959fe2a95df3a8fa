/** A service's own tables in a simulation: SQLite in memory, with a state to come back to. */
import { Buffer } from 'node:buffer'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import type { DbAdapter, TxHandle } from '../base/index.ts'
import type { MemoryTables } from '../ledger/memory/index.ts'
import { GatedHandle, nodeSqlite, TxGate } from '../ledger/sqlite/sqlite-handle.ts'
import { SimStatements, type Snapshot } from './sim-statements.ts'

/** A row, by column name. */
export type Row = Readonly<Record<string, unknown>>

/** JSON has no big integers, and shows bytes as an object. */
const plain = (_: string, value: unknown): unknown =>
  typeof value === 'bigint' ? `${value}n` : value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value

/** True for a handle that works on no other database. */
export const isSqliteOnly = ({ name }: DbAdapter<unknown>): boolean => name === nodeSqlite().name

/** A table with the statement that reads all of it. */
interface Table {
  readonly name: string
  readonly columns: readonly string[]
  /** The column that numbers its rows, if it has one. */
  readonly rowId: string | undefined
  readonly all: StatementSync
}

/**
 * The whole schedule runs in one transaction of SQLite, and each transaction of the ledger in a savepoint of it, so that
 * rolling back leads to where the schedule began, without making the tables again.
 */
export class SimTables implements MemoryTables {
  readonly #db = new DatabaseSync(':memory:')
  readonly #statements: SimStatements
  readonly #control: Readonly<
    Record<'begin' | 'commit' | 'rollback' | 'savepoint' | 'release' | 'rollbackTo', StatementSync>
  >
  #tables: readonly Table[] | undefined
  #started = false
  #gate: TxGate | undefined
  #readsFrom: Snapshot | undefined
  /** Grows with every commit that may have changed a row. */
  version = 0

  constructor() {
    const db = this.#db
    this.#statements = new SimStatements(db)
    this.#control = {
      begin: db.prepare('BEGIN'),
      commit: db.prepare('COMMIT'),
      rollback: db.prepare('ROLLBACK'),
      savepoint: db.prepare('SAVEPOINT quadrille_work'),
      release: db.prepare('RELEASE quadrille_work'),
      rollbackTo: db.prepare('ROLLBACK TO quadrille_work'),
    }
  }

  /** The connection, for making the tables and for looking at them. */
  get db(): DatabaseSync {
    return this.#db
  }

  begin(): TxHandle {
    if (!this.#started) {
      this.#control.begin.run()
      this.#started = true
    }
    this.#control.savepoint.run()
    if (this.#readsFrom) this.#statements.readFrom(this.#readsFrom)
    const gate = new TxGate(this.#db)
    this.#gate = gate
    return { kind: 'sqlite', native: new GatedHandle(gate, { db: this.#db, statements: this.#statements }) }
  }

  end(how: 'commit' | 'rollback'): void {
    this.#gate?.close()
    this.#gate = undefined
    this.readFrom(undefined)
    if (!this.#db.isTransaction) {
      // SQLite has rolled everything back by itself; the schedule can not go on.
      this.#started = false
      return
    }
    if (how === 'rollback') this.#control.rollbackTo.run()
    this.#control.release.run()
    if (how === 'commit') this.version += 1
  }

  /** The rows of all tables as they are now. */
  snapshot(): Snapshot {
    return new Map(this.tables().map((table) => [table.name, this.contents(table)]))
  }

  /** The next transaction begins to read when the tables were like this; see sim-statements.ts. */
  readFrom(snapshot: Snapshot | undefined): void {
    this.#readsFrom = snapshot
    if (!snapshot) this.#statements.readCurrent()
  }

  /** What was done so far is where every schedule begins. */
  seal(): void {
    if (this.#started && this.#db.isTransaction) this.#control.commit.run()
    this.#started = false
  }

  /** Back to how the tables were made. */
  reset(): void {
    if (this.#started && this.#db.isTransaction) this.#control.rollback.run()
    this.#started = false
    this.version = 0
  }

  /** Rows of the committed state. */
  rows(sql: string, ...params: SQLInputValue[]): Row[] {
    return this.#statements.get(sql).all(...params) as Row[]
  }

  /** The user's tables. */
  tables(): readonly Table[] {
    this.#tables ??= this.#db
      .prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`)
      .all()
      .map((row) => {
        const name = String(row['name'])
        const all = this.#db.prepare(`SELECT * FROM "${name.replaceAll('"', '""')}"`)
        const columns = all.columns().map((column) => column.name)
        all.setReturnArrays(true)
        return { name, columns, all, rowId: this.#rowIdOf(name) }
      })
    return this.#tables
  }

  #rowIdOf(table: string): string | undefined {
    const keys = this.#db
      .prepare('SELECT name, type FROM pragma_table_info(?) WHERE pk > 0')
      .all(table)
      .filter((row) => String(row['type']).toUpperCase() === 'INTEGER')
    return keys.length === 1 ? String(keys[0]!['name']) : undefined
  }

  /** All rows of a table as lists, in the order of the table's `columns`. */
  contents(table: Table): readonly (readonly unknown[])[] {
    return table.all.all() as unknown as unknown[][]
  }

  /** All rows of all tables, in an order of their own. */
  text(): string {
    return this.tables()
      .map(
        (table) =>
          `${table.name}:${this.contents(table)
            .map((row) => JSON.stringify(row, plain))
            .sort()
            .join()}`,
      )
      .join('\n')
  }

  close(): void {
    this.#statements.close()
    this.#db.close()
  }
}
