/**
 * How often something looks by itself at what no wake-up tells. While things happen, every so often; the longer nothing
 * does, the more seldom: whatever others change that concerns it, they tell, and this is only the net below.
 */
import type { Env } from '../base/index.ts'

/** The longest pause, in looks of an active one. */
const seldomMost = 64

/** When to look next. */
export class Pace {
  readonly #env: Env
  readonly #everyMs: number
  #lookedAt = -Infinity
  #quietLooks = 0

  constructor(env: Env, everyMs: number) {
    this.#env = env
    this.#everyMs = everyMs
  }

  /** True when the last look is as long ago as it may be while things happen. */
  get isDue(): boolean {
    return this.#env.elapsed() - this.#lookedAt >= this.#everyMs
  }

  /** How long to wait for the next look, if nothing happens. */
  get waitMs(): number {
    const pauseMs = this.#everyMs * Math.min(seldomMost, 2 ** this.#quietLooks)
    return Math.max(0, this.#lookedAt + pauseMs - this.#env.elapsed())
  }

  /** It is looked at now. */
  looked(): void {
    this.#lookedAt = this.#env.elapsed()
    this.#quietLooks += 1
  }

  /** Something happens. */
  stir(): void {
    this.#quietLooks = 0
  }

  /** The next look is due now. */
  hurry(): void {
    this.#lookedAt = -Infinity
  }
}
