/** UUIDs of version 7: well-formed by the judgement of another library, unique, and each greater than the one before. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { validate, version } from 'uuid'
import { systemEnv, uuidV7Generator } from '../../src/base/index.ts'

const msOf = (id: string): number => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
const zero = () => 0
const ones = () => 0xffffffff

function assertGrowing(ids: readonly string[]): void {
  ids.forEach((id, index) => {
    assert.ok(validate(id) && version(id) === 7, id)
    if (index > 0) assert.ok(id > ids[index - 1]!, `${ids[index - 1]} then ${id}`)
  })
}

test('the id of the example in RFC 9562 comes out when clock and randomness are the same', () => {
  // Appendix A.6: 2022-02-22T19:22:22Z, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F. Our counter starts with 11 random
  // bits, so its first bit is 0 where the example has 1.
  const random = [0xcc3, 0x18c4dc0c, 0x0c07398f]
  const next = uuidV7Generator(
    () => 0x017f22e279b0,
    () => random.shift()!,
  )
  assert.equal(next(), '017f22e2-79b0-74c3-98c4-dc0c0c07398f')
})

test('with any clock and any randomness, every id is valid, says version 7, and is greater than the one before', () => {
  const clock = fc.array(fc.double({ min: -10, max: 2 ** 47, noNaN: true }), { minLength: 2, maxLength: 60 })
  const randomness = fc.array(fc.nat({ max: 0xffffffff }), { minLength: 1, maxLength: 7 })
  fc.assert(
    fc.property(clock, randomness, (times, numbers) => {
      let [tick, draw] = [0, 0]
      const next = uuidV7Generator(
        () => times[tick++]!,
        () => numbers[draw++ % numbers.length]!,
      )
      assertGrowing(times.map(() => next()))
    }),
  )
})

test('a clock that stands still gives more ids than fit into one millisecond, still growing', () => {
  const ids = [zero, ones].map((random) => {
    const next = uuidV7Generator(() => 1_700_000_000_000, random)
    return Array.from({ length: 10_000 }, () => next())
  })
  ids.forEach(assertGrowing)
  assert.equal(msOf(ids[0]![0]!), 1_700_000_000_000)
  assert.ok(msOf(ids[1]!.at(-1)!) <= 1_700_000_000_004, 'runs ahead of the clock by no more than it must')
})

test('a clock that goes back does not take the ids with it, and the time is right again when it has caught up', () => {
  let now = 5_000_000
  const next = uuidV7Generator(() => now, zero)
  const before = next()
  now = 1_000
  const during = Array.from({ length: 100 }, () => next())
  now = 5_000_001
  assertGrowing([before, ...during, next()])
  assert.equal(msOf(next()), 5_000_001)
})

test('the time is that of the clock, also at 0, before it, and at the last millisecond that fits', () => {
  const at = (ms: number) => uuidV7Generator(() => ms, ones)()
  assert.equal(msOf(at(0)), 0)
  assert.equal(msOf(at(-7)), 0)
  assert.equal(msOf(at(2 ** 48 - 1)), 2 ** 48 - 1)
  assert.equal(msOf(at(2 ** 50)), 2 ** 48 - 1)
  for (const ms of [0, -7, 2 ** 48 - 1, 2 ** 50]) assert.ok(validate(at(ms)))
})

test("the machine's own ids are unique and growing, and say the time", () => {
  const before = Date.now()
  const ids = Array.from({ length: 20_000 }, () => systemEnv.uuid())
  assertGrowing(ids)
  assert.equal(new Set(ids).size, ids.length)
  assert.ok(msOf(ids[0]!) >= before - 1 && msOf(ids[0]!) <= Date.now() + 10)
})
