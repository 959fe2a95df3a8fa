/** The ledger of those who name none: SQLite in memory. */
import { sqlite } from '../ledger/sqlite/index.ts'
import type { Ledger } from '../ledger/index.ts'

/** A fresh ledger that ends with the process. */
export const defaultLedger = (): Ledger => sqlite(':memory:')
