/** Makes ledgers with one defect out of the good one: what the conformance cases must catch. */
import type { Env, ErrorCode } from '../../src/base/index.ts'
import type { EventRecord } from '../../src/contracts/index.ts'
import type { LedgerHarness } from '../../src/ledger/conformance/index.ts'
import type { Ledger, LedgerTx } from '../../src/ledger/ledger.ts'
import { fileHarness } from './sqlite-harness.ts'

/** What a defect may remember, for all connections to one database. */
export interface Shared {
  readonly env: Env
  /** Events that some defect knows of and should not. */
  readonly events: EventRecord[]
  readonly ids: Set<string>
  readonly owners: Set<string>
  readonly numbers: Map<string, number>
}

/** A defect, and the cases that must fail because of it. */
export interface WrongLedger {
  readonly name: string
  readonly catches: readonly string[]
  /** The code of the error that the case fails with, when it is the ledger's own. */
  readonly code?: ErrorCode
  /** `connection` counts from 1 for each database. */
  make(good: Ledger, shared: Shared, connection: number): Partial<Ledger>
}

/** The good ledger, except for some methods. */
export function except(good: Ledger, methods: Partial<Ledger>): Ledger {
  return {
    name: good.name,
    open: (env) => good.open(env),
    close: () => good.close(),
    transact: (work) => good.transact(work),
    isConflict: (error) => good.isConflict(error),
    read: (query) => good.read(query),
    find: (query) => good.find(query),
    query: (query) => good.query(query),
    count: (query) => good.count(query),
    pending: (query) => good.pending(query),
    lease: (request) => good.lease(request),
    positions: (reader) => good.positions(reader),
    readers: () => good.readers(),
    onAppend: (wake) => good.onAppend(wake),
    trim: (request) => good.trim(request),
    health: () => good.health(),
    ...methods,
  }
}

/** A transaction that is the good one, except for some methods. */
export const changedTx = (tx: LedgerTx, methods: Partial<LedgerTx>): LedgerTx => ({
  handle: tx.handle,
  hold: (claim) => tx.hold(claim),
  append: (events) => tx.append(events),
  appendLast: (events) => tx.appendLast(events),
  get broken() {
    return tx.broken
  },
  load: (keys) => tx.load(keys),
  query: (query) => tx.query(query),
  lanes: (query) => tx.lanes(query),
  save: (puts, removes) => tx.save(puts, removes),
  ...methods,
})

/** `transact` with transactions that are the good ones, except for some methods. */
export const exceptTx = (good: Ledger, methods: (tx: LedgerTx) => Partial<LedgerTx>): Pick<Ledger, 'transact'> => ({
  transact: (work) => good.transact((tx) => work(changedTx(tx, methods(tx)))),
})

/** The harness of the good ledger with the defect built in. */
export function wrongHarness(wrong: WrongLedger): LedgerHarness {
  const good = fileHarness()
  return {
    name: wrong.name,
    async create() {
      const place = await good.create()
      const shared: Shared = {
        env: place.env,
        events: [],
        ids: new Set(),
        owners: new Set(),
        numbers: new Map(),
      }
      let connections = 0
      return {
        ...place,
        connect() {
          const ledger = place.connect()
          connections += 1
          return except(ledger, wrong.make(ledger, shared, connections))
        },
      }
    },
  }
}
