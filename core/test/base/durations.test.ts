/** Durations: what users may write, what is refused, and how they are printed. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { durationMs, durationText, type Duration } from '../../src/base/index.ts'

test('numbers are milliseconds, strings have a unit', () => {
  const cases: [Duration, number][] = [
    [0, 0],
    [1.5, 1.5],
    ['0s', 0],
    ['250ms', 250],
    ['1.5s', 1_500],
    ['15m', 900_000],
    ['2h', 7_200_000],
    ['7d', 604_800_000],
  ]
  for (const [duration, ms] of cases) assert.equal(durationMs(duration, 'within'), ms)
})

test('everything else is refused, and the error shows what it was and where', () => {
  const wrong = ['', '15', 'm', '15 m', '-1s', '1e3s', '1s ', '1S', '1.s', '.5s', '1w', `${'9'.repeat(400)}d`]
  for (const value of [...wrong, -1, NaN, Infinity, null, undefined, 5n, {}, true]) {
    assert.throws(() => durationMs(value as Duration, 'retry.base of orders/expire'), { code: 'DURATION_INVALID' })
  }
  assert.throws(() => durationMs('soon' as Duration, 'within'), /within is not a duration: 'soon'/)
  assert.throws(() => durationMs(NaN, 'within'), /within is not a duration: NaN/)
})

test('a printed duration of whole seconds, minutes, hours or days reads back as the same duration', () => {
  fc.assert(
    fc.property(fc.nat({ max: 10 ** 9 }), fc.constantFrom(1_000, 60_000, 3_600_000, 86_400_000), (count, unit) => {
      assert.equal(durationMs(durationText(count * unit) as Duration, 'printed'), count * unit)
    }),
  )
  assert.deepEqual([0, 5, 250, 900_000, 12_345, 86_400_000].map(durationText), [
    '0ms',
    '5ms',
    '250ms',
    '15m',
    '12.3s',
    '1d',
  ])
})
