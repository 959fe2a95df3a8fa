import assert from 'node:assert/strict'
import { test } from 'node:test'
import { summaryText, type Summary } from '../src/running/summary.ts'

function textOf(violations: number): string[] {
  const invariants = Array.from({ length: violations }, (_, index) => `sentence ${index + 1}`)
  const sums = { orders: 0, completed: 0, cancelled: 0, chargedMinor: 0, refundedMinor: 0, completedTotalMinor: 0 }
  const effects = { stockHeld: 0, mails: 0, duplicates: 0, lost: 0, repeatedCharges: 0, repeatedMails: 0 }
  const summary: Summary = { ...sums, ...effects, invariants, kills: 0, brokerKills: 0, seed: 1 }
  return summaryText(summary).split('\n').slice(5)
}

test('people are shown the first 20 violations, and how many more there are', () => {
  assert.equal(textOf(20).length, 20)
  assert.equal(textOf(20).at(-1), '  sentence 20')
  assert.equal(textOf(116).length, 21)
  assert.equal(textOf(116).at(-1), '  … and 96 more')
})
