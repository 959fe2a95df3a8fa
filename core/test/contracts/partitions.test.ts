/** Keys are spread evenly over the virtual partitions, whatever they look like, and always the same way. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { uuidV7Generator } from '../../src/base/index.ts'
import { partitionCount, partitionOf } from '../../src/contracts/index.ts'

/** A generator of pseudo-random numbers (mulberry32), so that the test is the same every time. */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
}

const uuid = uuidV7Generator(() => 1_760_000_000_000, randomOf(7))
const kinds: Record<string, (index: number) => string> = {
  'UUIDs of version 7': uuid,
  'counted orders': (index) => `order-${index}`,
  'numbers with leading zeros': (index) => String(index).padStart(12, '0'),
  'numbers in steps of 16': (index) => String(index * 16),
  'long keys that differ in front': (index) => `${index}${'-suffix'.repeat(20)}`,
  'other scripts': (index) => `заказ-${String.fromCodePoint(0x4e00 + (index % 5_000))}${index}`,
}

for (const [kind, keyOf] of Object.entries(kinds)) {
  test(`${kind} are spread evenly`, () => {
    const keys = 16_000
    const counts = Array.from({ length: partitionCount }, () => 0)
    for (let index = 0; index < keys; index++) counts[partitionOf(keyOf(index))]!++
    const mean = keys / partitionCount
    // Five standard deviations of a fair die with 16 faces.
    const slack = 5 * Math.sqrt(mean * (1 - 1 / partitionCount))
    for (const count of counts) assert.ok(Math.abs(count - mean) < slack, `${counts.join(' ')}, expected about ${mean}`)
  })
}

test('a key never changes its partition: ledgers hold what this function has said', () => {
  const keys = ['', 'a', 'order-1', 'order-2', '018f0000-0000-7000-8000-000000000001', 'ключ', '😀']
  assert.deepEqual(keys.map(partitionOf), [12, 4, 2, 11, 15, 12, 11])
})
