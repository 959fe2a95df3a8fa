/** What is said of options that there are not, and of numbers that can not be. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { numberOption, refuseOption, refuseUnknown } from '../../src/base/index.ts'

const refused = (message: RegExp) => ({ code: 'OPTION_INVALID', message })

describe('options', () => {
  interface PigeonOptions {
    readonly loft?: string
    readonly speed?: number
  }
  const check = (options: object) =>
    refuseUnknown<PigeonOptions>(options, { loft: true, speed: true }, { of: 'pigeon()' })

  it('that are known are taken', () => {
    check({})
    check({ loft: 'north', speed: 3 })
  })

  it('that there are not are named, with those there are and the nearest', () => {
    assert.throws(
      () => check({ lofts: 'x' }),
      refused(/lofts is unknown to pigeon\(\) \(did you mean loft\?\).*loft, speed/),
    )
    assert.throws(() => check({ colour: 'x' }), refused(/colour is unknown to pigeon\(\), expected/))
    const deep = () => refuseUnknown({ x: 1 } as object, {}, { of: 'pigeon()', path: 'flight' })
    assert.throws(deep, refused(/option flight\.x/))
  })

  it('that are no object are named', () => {
    for (const options of [undefined, null, 5, 'north', []])
      assert.throws(() => check(options as never), refused(/options of pigeon\(\) is .*an object/))
  })

  it('show values, but no contents', () => {
    assert.throws(() => refuseOption(['secret'], 'a', 'b'), refused(/a is a list, expected b/))
    assert.throws(() => refuseOption({ secret: 1 }, 'a', 'b'), refused(/a is an object/))
  })

  it('numbers have to be such, and within their limits', () => {
    const rule = { option: 'n', min: 1, max: 5 }
    for (const value of [1, 5]) assert.equal(numberOption(value, rule), value)
    for (const value of [0, 6, 1.5, Number.NaN, Infinity, '3' as never, undefined as never])
      assert.throws(() => numberOption(value, rule), refused(/a whole number from 1 to 5/))
    assert.equal(numberOption(1.5, { ...rule, whole: false }), 1.5)
    assert.throws(
      () => numberOption(Infinity, { option: 'n', min: 0, whole: false }),
      refused(/a number of at least 0/),
    )
  })
})
