/** What fast-check's arbitraries ask of their source of random numbers, so that they can be used without fast-check. */
import type { Randomness } from '../base/randomness.ts'

/** The methods of fast-check's `Random` (4.x), and of the generators of pure-rand. */
export class FastCheckRandom {
  readonly #random: Randomness

  constructor(random: Randomness) {
    this.#random = random
  }

  clone(): this {
    return this
  }

  next(bits: number): number {
    return this.#random.bits() >>> (32 - bits)
  }

  nextBoolean(): boolean {
    return this.#random.below(2) === 1
  }

  /** Any 32-bit integer, or one between `min` and `max`, both possible. */
  nextInt(min?: number, max?: number): number {
    if (min === undefined || max === undefined) return this.#random.bits() | 0
    return min + Math.floor(this.#random.next() * (max - min + 1))
  }

  nextBigInt(min: bigint, max: bigint): bigint {
    const range = max - min + 1n
    let value = 0n
    for (let size = range; size > 0n; size >>= 32n) value = (value << 32n) | BigInt(this.#random.bits())
    return min + (value % range)
  }

  nextDouble(): number {
    return this.#random.next()
  }

  getState(): undefined {
    return undefined
  }
}
