/** The SQLite ledger keeps every promise of the Ledger interface. */
import { describe, it } from 'node:test'
import { testLedger } from '../../src/ledger/conformance/index.ts'
import { fileHarness, memoryHarness } from './sqlite-harness.ts'

testLedger({ describe, it }, fileHarness())
testLedger({ describe, it }, memoryHarness)
// Small enough that most reads are not answered from memory, and that nothing is ever read from there.
testLedger({ describe, it }, fileHarness({ tailEvents: 3 }))
testLedger({ describe, it }, fileHarness({ tailEvents: 0 }))
