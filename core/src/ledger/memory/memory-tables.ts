/** The user's own tables beside a ledger in memory: how its transactions reach them. */
import type { TxHandle } from '../../base/index.ts'

/** A database that follows the transactions of a {@link MemoryLedger}. One transaction is open at a time. */
export interface MemoryTables {
  /** Begins, when a work asks for its handle for the first time. */
  begin(): TxHandle
  /** The work has ended: the handle is of no use any more. Only after {@link begin}. */
  end(how: 'commit' | 'rollback'): void
}

/** For works that ask for a handle where there are no tables. */
export const noTables: TxHandle = { kind: 'memory', native: undefined }
