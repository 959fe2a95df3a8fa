import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fromMinor, showMinor, toMinor, totalOf } from '../src/money.ts'

test('every amount of cents survives the way to an amount and back', () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 10 ** 11 }), (minor) => toMinor(fromMinor(minor)) === minor))
})

test('totals are exact where floating point sums are not', () => {
  assert.notEqual(0.1 + 0.2, 0.3)
  assert.equal(
    totalOf([
      { price: 0.1, quantity: 1 },
      { price: 0.2, quantity: 1 },
    ]),
    0.3,
  )
  assert.equal(totalOf([{ price: 1.1, quantity: 3 }]), 3.3)
  assert.equal(totalOf([]), 0)
})

test('a third decimal is refused, the dust of a floating point sum is not', () => {
  assert.throws(() => toMinor(1.005), RangeError)
  assert.throws(() => toMinor(Number.NaN), RangeError)
  assert.throws(() => fromMinor(0.5), RangeError)
  assert.equal(toMinor(0.1 + 0.2), 30)
})

test('amounts are shown with two decimals', () => assert.equal(showMinor(123450), '€1,234.50'))
