/** Makes SQLite databases for the conformance cases: files in a temporary folder, or in memory. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { sqlite, type SqliteHandle, type SqliteOptions } from 'quadrille/sqlite'
import { systemEnv, type Env, type TxHandle } from '../../src/base/index.ts'
import type { LedgerHarness, LedgerPlace } from '../../src/ledger/conformance/index.ts'

/** The machine's own Env with a clock that can be put forward. */
export function shiftedEnv(): { readonly env: Env; advance(ms: number): Promise<void> } {
  let shiftMs = 0
  return {
    env: { ...systemEnv, now: () => systemEnv.now() + shiftMs },
    async advance(ms) {
      shiftMs += ms
    },
  }
}

/** A folder of its own, and how to remove it. */
export function temporaryFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'quadrille-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

async function putRow(handle: TxHandle, id: string): Promise<void> {
  const db = handle.native as SqliteHandle
  db.exec('CREATE TABLE IF NOT EXISTS user_rows (id TEXT NOT NULL PRIMARY KEY)')
  db.prepare('INSERT INTO user_rows (id) VALUES (?)').run(id)
}

const rowsSql = 'SELECT id FROM user_rows ORDER BY id'

function rowsIn(path: string): string[] {
  const db = new DatabaseSync(path)
  try {
    if (!db.prepare(`SELECT 1 FROM sqlite_schema WHERE name = 'user_rows'`).get()) return []
    return db
      .prepare(rowsSql)
      .all()
      .map((row) => String(row['id']))
  } finally {
    db.close()
  }
}

/** Ledgers on files. */
export function fileHarness(options: SqliteOptions = {}): LedgerHarness {
  return {
    name: `sqlite file ${JSON.stringify(options)}`,
    async create(): Promise<LedgerPlace> {
      const folder = temporaryFolder()
      const path = join(folder.path, 'ledger.db')
      return {
        connect: () => sqlite(path, options),
        ...shiftedEnv(),
        rows: { put: putRow, all: async () => rowsIn(path) },
        remove: async () => folder.remove(),
      }
    },
  }
}

/** Ledgers in memory, which can not be opened twice. */
export const memoryHarness: LedgerHarness = {
  name: 'sqlite in memory',
  shared: false,
  async create(): Promise<LedgerPlace> {
    const ledgers: ReturnType<typeof sqlite>[] = []
    return {
      connect() {
        const ledger = sqlite(':memory:')
        ledgers.push(ledger)
        return ledger
      },
      ...shiftedEnv(),
      rows: {
        put: putRow,
        // Nobody else can look into a database in memory, so a transaction of its own does.
        all: () =>
          ledgers[0]!.transact(async (tx) => {
            const db = tx.handle.native as SqliteHandle
            db.exec('CREATE TABLE IF NOT EXISTS user_rows (id TEXT NOT NULL PRIMARY KEY)')
            return db
              .prepare(rowsSql)
              .all()
              .map((row) => String(row['id']))
          }),
      },
      remove: async () => {},
    }
  },
}
