/** `quadrille/sqlite`: the ledger on an SQLite file (or in memory), through Node's own node:sqlite. */
import { numberOption, refuseOption, refuseUnknown } from '../../base/index.ts'
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
 * @throws QuadrilleError `OPTION_INVALID`.
 * @param path - The file, created when it is not there, or `:memory:`, which only this ledger sees and nothing survives.
 *
 * @example
 * ```ts
 * const app = await start({ services: checkout.services, ledger: sqlite('orders.db') })
 * ```
 */
export function sqlite(path: string, options: SqliteOptions = {}): Ledger {
  refuseUnknown(options, optionNames, { of: 'sqlite()' })
  if (typeof path !== 'string' || path === '') refuseOption(path, 'path of sqlite()', "a file, or ':memory:'")
  const { synchronous = 'FULL' } = options
  if (!levels.includes(synchronous)) refuseOption(synchronous, 'synchronous', levels.join(' or '))
  const number = (option: NumberName, otherwise: number) =>
    numberOption(options[option] ?? otherwise, { option, min: 0 })
  return new SqliteLedger({
    path,
    synchronous,
    busyWaitMs: number('busyWaitMs', 10_000),
    cacheBytes: number('cacheBytes', 64 * 1024 * 1024),
    tailEvents: number('tailEvents', 65_536),
    tailBytes: number('tailBytes', 64 * 1024 * 1024),
  })
}

type NumberName = Exclude<keyof SqliteOptions, 'synchronous'>

const levels: readonly string[] = ['FULL', 'NORMAL'] satisfies SqliteOptions['synchronous'][]

const optionNames: Readonly<Record<keyof SqliteOptions, true>> = {
  synchronous: true,
  busyWaitMs: true,
  cacheBytes: true,
  tailEvents: true,
  tailBytes: true,
}
