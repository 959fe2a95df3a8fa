/** The PostgreSQL ledger keeps every promise of the Ledger interface. */
import { describe, it } from 'node:test'
import { testLedger } from 'quadrille/conformance'
import { postgresHarness, serverMissing } from './database.ts'

const skip = await serverMissing()
const runner = { describe: (name: string, body: () => void) => describe(name, { skip }, body), it }

testLedger(runner, postgresHarness())
// Small enough that most reads are not answered from memory, and that nothing is ever read from there.
testLedger(runner, postgresHarness({ tailEvents: 3 }))
testLedger(runner, postgresHarness({ tailEvents: 0, listen: false, connections: 2 }))
