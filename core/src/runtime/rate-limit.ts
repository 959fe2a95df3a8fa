/** At most so many handlings of a reaction in any stretch of a given time, in one process. */
import type { FullPolicy } from '../service/index.ts'

/** Remembers when the last ones were, as many as are allowed at once. */
export class RateLimit {
  readonly #limit: number
  readonly #perMs: number
  /** The times of the last handlings; once it is full, `#oldest` is where the next one goes. */
  readonly #times: number[] = []
  #oldest = 0

  constructor(policy: NonNullable<FullPolicy['rate']>) {
    this.#limit = policy.limit
    this.#perMs = policy.perMs
  }

  /** From when on there is a place. */
  get freeAt(): number {
    return this.#times.length < this.#limit ? 0 : this.#times[this.#oldest]! + this.#perMs
  }

  /** Takes a place when there is one; otherwise returns from when on there is. */
  take(nowMs: number): number {
    const at = this.freeAt
    if (at > nowMs) return at
    this.#times[this.#oldest] = nowMs
    this.#oldest = (this.#oldest + 1) % this.#limit
    return nowMs
  }
}
