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
    return this.freeBehind(0, 0)
  }

  /** From when on there is a place behind so many others that are about to be taken now. */
  freeBehind(others: number, nowMs: number): number {
    const taken = this.#times.length
    // The one that has to be long enough ago, counted from the oldest that is remembered.
    const index = taken + others - this.#limit
    if (index < 0) return 0
    if (index >= taken) return nowMs + this.#perMs
    const first = taken < this.#limit ? 0 : this.#oldest
    return this.#times[(first + index) % this.#limit]! + this.#perMs
  }

  /** Takes a place. */
  take(nowMs: number): void {
    this.#times[this.#oldest] = nowMs
    this.#oldest = (this.#oldest + 1) % this.#limit
  }
}
