/** Which partition a key belongs to, as the Java client decides it. */

const seed = 0x9747b28c
const multiplier = 0x5bd1e995
const toPositive = 0x7fffffff

/**
 * The partition that the Java client's default partitioner gives a key (murmur2), so that events of one key share a
 * partition with what Java, librdkafka (`murmur2_random`) and kafkajs producers send.
 *
 * @example
 * ```ts run
 * import { javaPartition } from '@quadrille/kafka'
 *
 * javaPartition(Buffer.from('order-42'), 6) // => 0
 * ```
 */
export function javaPartition(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & toPositive) % partitions
}

/** MurmurHash2, 32 bits, as in org.apache.kafka.common.utils.Utils; the result is signed. */
export function murmur2(bytes: Uint8Array): number {
  const whole = bytes.length & ~3
  let hash = seed ^ bytes.length
  for (let at = 0; at < whole; at += 4) {
    let word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    word = Math.imul(word, multiplier)
    word ^= word >>> 24
    hash = Math.imul(hash, multiplier) ^ Math.imul(word, multiplier)
  }
  for (let at = bytes.length - 1; at >= whole; at--) hash ^= bytes[at]! << (8 * (at - whole))
  if (bytes.length > whole) hash = Math.imul(hash, multiplier)
  hash = Math.imul(hash ^ (hash >>> 13), multiplier)
  return hash ^ (hash >>> 15)
}
