/** The ledger in memory keeps every promise of the Ledger interface: what holds in a simulation holds on a database. */
import { describe, it } from 'node:test'
import { testLedger, type LedgerHarness } from '../../src/ledger/conformance/index.ts'
import type { SqliteHandle } from '../../src/ledger/sqlite/index.ts'
import { MemoryLedger, MemoryStore } from '../../src/ledger/memory/index.ts'
import { SimTables } from '../../src/simulate/sim-tables.ts'
import { shiftedEnv } from './sqlite-harness.ts'

const harness: LedgerHarness = {
  name: 'memory',
  async create() {
    const tables = new SimTables()
    tables.db.exec('CREATE TABLE user_rows (id TEXT NOT NULL PRIMARY KEY)')
    const store = new MemoryStore(tables)
    return {
      connect: () => new MemoryLedger(store),
      ...shiftedEnv(),
      rows: {
        put: async (handle, id) =>
          void (handle.native as SqliteHandle).prepare('INSERT INTO user_rows (id) VALUES (?)').run(id),
        all: async () => tables.rows('SELECT id FROM user_rows ORDER BY id').map((row) => String(row['id'])),
      },
      remove: async () => tables.close(),
    }
  },
}

testLedger({ describe, it }, harness)
