/** Every conformance case fails on a wire that breaks its promise: otherwise it would prove nothing. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isQuadrilleError } from '../../src/base/index.ts'
import { runWireCase, whyLeftOut, wireCases } from '../../src/wire/conformance/index.ts'
import { wrongHarness } from './wrong-wire.ts'
import { wrongWires } from './wrong-wires.ts'

describe('wrong wires', { concurrency: 8 }, () => {
  for (const wrong of wrongWires) {
    for (const name of wrong.catches) {
      it(`${wrong.name}: caught by "${name}"`, async () => {
        const testCase = wireCases.find((candidate) => candidate.name === name)
        assert.ok(testCase, 'there is such a case')
        const harness = wrongHarness(wrong)
        assert.equal(whyLeftOut(testCase, harness), null)
        await assert.rejects(runWireCase(testCase, harness), (error) => {
          assert.ok(isQuadrilleError(error, wrong.code ?? 'CONFORMANCE_FAILED'), String(error))
          return true
        })
      })
    }
  }

  it('there is one for every case', () => {
    const caught = new Set(wrongWires.flatMap((wrong) => wrong.catches))
    assert.deepEqual(
      wireCases.map((testCase) => testCase.name).filter((name) => !caught.has(name)),
      [],
    )
  })

  it('no two cases have the same name', () => {
    assert.equal(new Set(wireCases.map((testCase) => testCase.name)).size, wireCases.length)
  })
})
