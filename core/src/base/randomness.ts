/** Random numbers from a seed: xoshiro128** 1.1 by Blackman and Vigna (public domain), seeded with SplitMix32. */

/** A source of random numbers. The same seed gives the same. */
export class Randomness {
  readonly #state: [number, number, number, number]

  constructor(seed: number) {
    let state = Math.trunc(seed) >>> 0
    const split = () => {
      state = (state + 0x9e3779b9) >>> 0
      let z = state
      z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
      z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
      return (z ^ (z >>> 16)) >>> 0
    }
    this.#state = [split(), split(), split(), split()]
  }

  /** 32 random bits. */
  bits(): number {
    const s = this.#state
    const rotl = (x: number, k: number) => ((x << k) | (x >>> (32 - k))) >>> 0
    const result = Math.imul(rotl(Math.imul(s[1], 5) >>> 0, 7), 9) >>> 0
    const t = (s[1] << 9) >>> 0
    s[2] ^= s[0]
    s[3] ^= s[1]
    s[1] ^= s[2]
    s[0] ^= s[3]
    s[2] ^= t
    s[3] = rotl(s[3], 11)
    return result
  }

  /** In [0, 1). */
  next(): number {
    return this.bits() / 2 ** 32
  }

  /** A whole number below `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!
  }
}
