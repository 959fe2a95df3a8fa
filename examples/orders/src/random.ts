/** Randomness that can be repeated: the same seed and the same words give the same number, in any order of asking. */
import { createHash } from 'node:crypto'

/** A number in [0, 1). */
export function draw(seed: number, ...words: readonly (string | number)[]): number {
  const digest = createHash('sha256')
    .update([seed, ...words].join('\n'))
    .digest()
  return digest.readUIntBE(0, 6) / 2 ** 48
}

/** One of the list. */
export function pick<T>(list: readonly [T, ...T[]], chance: number): T {
  return list[Math.floor(chance * list.length)] ?? list[0]
}

/** An id in the shape of a UUID. */
export function drawId(seed: number, ...words: readonly (string | number)[]): string {
  const hex = createHash('sha256')
    .update(['id', seed, ...words].join('\n'))
    .digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
