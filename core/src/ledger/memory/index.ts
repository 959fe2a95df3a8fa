/** A ledger in memory, for simulations and tests. */
export { MemoryLedger } from './memory-ledger.ts'
export { MemoryStore } from './memory-store.ts'
export { noTables, type MemoryTables } from './memory-tables.ts'
