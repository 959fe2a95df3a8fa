/** What a conformance case works with, and what an adapter provides so that the cases can run on it. */
import type { Env, TxHandle } from '../../base/index.ts'
import type { Ledger } from '../ledger.ts'

/** A row of a user's own table, written through the handle of a transaction. */
export interface RowAccess {
  /** Inserts a row into a table of one text column. */
  put(handle: TxHandle, id: string): Promise<void>
  /** All rows that are committed, sorted, over a connection that has nothing to do with the ledger's. */
  all(): Promise<readonly string[]>
}

/** An empty database, made for one case. */
export interface LedgerPlace {
  /** A ledger on this database, not yet open. Called again, one that knows the first no better than another process. */
  connect(): Ledger
  /** What the ledgers are opened with. */
  readonly env: Env
  /** Lets so much time pass for the ledger's clock; where that is a database server's, it waits. */
  advance(ms: number): Promise<void>
  readonly rows: RowAccess
  /** Removes the database. Every ledger has been closed. */
  remove(): Promise<void>
}

/** What a case gets. */
export interface LedgerWorld {
  /** An open ledger on an empty database. */
  readonly ledger: Ledger
  /** Opens a further connection to the same database, as another process would. The suite closes it. */
  readonly open: () => Promise<Ledger>
  /** A ledger on the same database that is not open. The suite closes it. */
  readonly connect: () => Ledger
  readonly env: Env
  readonly advance: (ms: number) => Promise<void>
  readonly rows: RowAccess
}

/** One promise of the {@link Ledger} contract, as data, so that any runner and any adapter can use the same list. */
export interface LedgerCase {
  readonly name: string
  /** True when the case opens the database a second time; left out where a database has only one connection. */
  readonly shared?: boolean
  /** Fails with `CONFORMANCE_FAILED` when the promise is broken. */
  run(world: LedgerWorld): Promise<void>
}

/** How an adapter is made and removed for the cases. */
export interface LedgerHarness {
  /** For the name of the suite. */
  readonly name: string
  /** False when a database can not be opened twice, as one in memory; cases that need that are left out. Default true. */
  readonly shared?: boolean
  /** Makes an empty database. */
  create(): Promise<LedgerPlace>
}

/** Runs one case on a database of its own, closes what it opened and removes the database. */
export async function runLedgerCase(testCase: LedgerCase, harness: LedgerHarness): Promise<void> {
  const place = await harness.create()
  const ledgers: Ledger[] = []
  const connect = () => {
    const ledger = place.connect()
    ledgers.push(ledger)
    return ledger
  }
  const open = async () => {
    const ledger = connect()
    await ledger.open(place.env)
    return ledger
  }
  try {
    const ledger = await open()
    const { env, rows } = place
    await testCase.run({ ledger, open, connect, env, rows, advance: (ms) => place.advance(ms) })
  } finally {
    try {
      for (const ledger of ledgers) await ledger.close()
    } finally {
      await place.remove()
    }
  }
}
