/** `quadrille/sqlite`: the ledger on an SQLite file (or in memory), through Node's own node:sqlite. */
import type { Ledger } from '../ledger.ts'
import { SqliteLedger } from './sqlite-ledger.ts'

export { nodeSqlite, type SqliteHandle, type SqliteRow, type SqliteStatement } from './sqlite-handle.ts'

/** Settings of {@link sqlite}. All have defaults that are right for most. */
export interface SqliteOptions {
  /**
   * `FULL` (default): what is committed survives a power cut. `NORMAL`: it survives the death of the process, but the
   * last commits may be lost with the machine; the file stays whole.
   */
  readonly synchronous?: 'FULL' | 'NORMAL'
  /** For how long a transaction waits for other processes before it fails with `LEDGER_BUSY`. Default 10,000 ms. */
  readonly busyWaitMs?: number
  /** Pages that each of the two connections keeps in memory. Default 64 MiB. */
  readonly cacheBytes?: number
  /** The newest events kept in memory for the readers of this process: at most so many. Default 65,536. */
  readonly tailEvents?: number
  /** The same, in bytes. Default 64 MiB. */
  readonly tailBytes?: number
}

/**
 * A ledger in an SQLite file. Your own tables live in the same file, and one transaction covers both. Several processes
 * of one machine may open the file; it must not be on a network file system. Nothing happens before `open()`.
 *
 * @param path - The file, created when it is not there, or `:memory:`, which only this ledger sees and nothing survives.
 *
 * @example
 * ```ts
 * const app = await start({ services: checkout.services, ledger: sqlite('orders.db') })
 * ```
 */
export function sqlite(path: string, options: SqliteOptions = {}): Ledger {
  return new SqliteLedger({
    path,
    synchronous: options.synchronous ?? 'FULL',
    busyWaitMs: options.busyWaitMs ?? 10_000,
    cacheBytes: options.cacheBytes ?? 64 * 1024 * 1024,
    tailEvents: options.tailEvents ?? 65_536,
    tailBytes: options.tailBytes ?? 64 * 1024 * 1024,
  })
}
