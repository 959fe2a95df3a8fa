/** What every ledger must do, as cases that any test runner can run. */
import { appendCases } from './append-cases.ts'
import { transactionCases } from './transaction-cases.ts'
import { holdCases } from './hold-cases.ts'
import { leaseCases } from './lease-cases.ts'
import { lifeCases, trimCases, wakeCases } from './life-cases.ts'
import { runLedgerCase, type LedgerCase, type LedgerHarness } from './ledger-world.ts'
import { queryCases, recordCases } from './record-cases.ts'
import { findCases, readCases } from './reading-cases.ts'

export {
  runLedgerCase,
  type LedgerCase,
  type LedgerHarness,
  type LedgerPlace,
  type LedgerWorld,
  type RowAccess,
} from './ledger-world.ts'

/** The contract of `Ledger` in full, one case for each promise. */
export const ledgerCases: readonly LedgerCase[] = [
  ...transactionCases,
  ...appendCases,
  ...readCases,
  ...findCases,
  ...recordCases,
  ...queryCases,
  ...leaseCases,
  ...holdCases,
  ...trimCases,
  ...wakeCases,
  ...lifeCases,
]

/** The two functions that the suite needs of a test runner: node:test, Vitest and Jest have them. */
export interface CaseRunner {
  describe(name: string, body: () => void): unknown
  it(name: string, body: () => Promise<void>): unknown
}

/**
 * Binds all cases to a test runner. Call it once in the tests of an adapter; each case gets a database of its own,
 * which is closed and removed afterwards.
 */
export function testLedger(runner: CaseRunner, harness: LedgerHarness): void {
  runner.describe(`ledger conformance: ${harness.name}`, () => {
    for (const testCase of ledgerCases) {
      if (testCase.shared && harness.shared === false) continue
      runner.it(testCase.name, () => runLedgerCase(testCase, harness))
    }
  })
}
