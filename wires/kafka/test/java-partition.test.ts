/** Keys go to the partitions to which the Java client sends them. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { murmur2 as clientMurmur2 } from '@platformatic/kafka'
import { javaPartition, murmur2 } from '../src/java-partition.ts'

// From UtilsTest of Apache Kafka, `testMurmur2`.
const vectors: readonly [key: string, hash: number][] = [
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
]

it('hashes as Java does', () => {
  for (const [key, hash] of vectors) assert.equal(murmur2(Buffer.from(key)), hash, key)
})

it('hashes every length, and bytes above 127, as another implementation does', () => {
  for (let length = 0; length < 64; length++) {
    const key = Buffer.from(Array.from({ length }, (_, at) => (at * 89 + length * 31) % 256))
    assert.equal(murmur2(key), clientMurmur2(key), `length ${length}`)
  }
})

it('takes the partition without the sign, not by its absolute value', () => {
  assert.equal(javaPartition(Buffer.from('foobar'), 10), (-790332482 & 0x7fffffff) % 10)
  assert.equal(javaPartition(Buffer.from('21'), 7), (-973932308 & 0x7fffffff) % 7)
})
