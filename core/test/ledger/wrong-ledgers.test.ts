/** Every conformance case fails on a ledger that breaks its promise: otherwise it would prove nothing. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isQuadrilleError } from '../../src/base/index.ts'
import { ledgerCases, runLedgerCase } from '../../src/ledger/conformance/index.ts'
import { wrongHarness } from './wrong-ledger.ts'
import { wrongInLeases } from './wrong-leases.ts'
import { wrongInLife } from './wrong-life.ts'
import { wrongInReading } from './wrong-reading.ts'
import { wrongInTransactions } from './wrong-transactions.ts'

const wrongLedgers = [...wrongInTransactions, ...wrongInReading, ...wrongInLeases, ...wrongInLife]

describe('wrong ledgers', () => {
  for (const wrong of wrongLedgers) {
    for (const name of wrong.catches) {
      it(`${wrong.name}: caught by "${name}"`, async () => {
        const testCase = ledgerCases.find((candidate) => candidate.name === name)
        assert.ok(testCase, 'there is such a case')
        await assert.rejects(runLedgerCase(testCase, wrongHarness(wrong)), (error) => {
          assert.ok(isQuadrilleError(error, wrong.code ?? 'CONFORMANCE_FAILED'), String(error))
          return true
        })
      })
    }
  }

  it('there is one for every case', () => {
    const caught = new Set(wrongLedgers.flatMap((wrong) => wrong.catches))
    assert.deepEqual(
      ledgerCases.map((testCase) => testCase.name).filter((name) => !caught.has(name)),
      [],
    )
  })

  it('no two cases have the same name', () => {
    assert.equal(new Set(ledgerCases.map((testCase) => testCase.name)).size, ledgerCases.length)
  })
})
