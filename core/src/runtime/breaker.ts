/**
 * The circuit breaker of a reaction, in one process.
 *
 *     closed --(failures in a row)--> open --(pause over)--> probing --(success)--> closed
 *                                       ^                        |
 *                                       +-------(failure)--------+   with twice the pause, up to its maximum
 *
 * While it is open nothing is run and no attempt is counted; while it is probing one event at a time is run.
 */
import type { FullPolicy } from '../service/index.ts'

/** What the breaker allows now. */
export type BreakerState = 'closed' | 'open' | 'probing'

/** Counts failures, and says what may run. Time is handed in. */
export class Breaker {
  readonly #policy: NonNullable<FullPolicy['breaker']>
  #failures = 0
  #pauseMs: number
  #until = 0
  #open = false

  constructor(policy: NonNullable<FullPolicy['breaker']>) {
    this.#policy = policy
    this.#pauseMs = policy.pauseMs
  }

  /** When a probe may run next; only meaningful while not closed. */
  get until(): number {
    return this.#until
  }

  state(nowMs: number): BreakerState {
    if (!this.#open) return 'closed'
    return nowMs < this.#until ? 'open' : 'probing'
  }

  /** Returns true when this success closed it. */
  succeeded(): boolean {
    this.#failures = 0
    if (!this.#open) return false
    this.#open = false
    this.#pauseMs = this.#policy.pauseMs
    return true
  }

  /** Returns true when this failure opened it, or kept it open after a probe. */
  failed(nowMs: number): boolean {
    const state = this.state(nowMs)
    if (state === 'open') return false
    this.#failures += 1
    if (state === 'closed' && this.#failures < this.#policy.failures) return false
    if (state === 'probing') this.#pauseMs = Math.min(this.#policy.pauseMaxMs, this.#pauseMs * 2)
    this.#open = true
    this.#until = nowMs + this.#pauseMs
    return true
  }
}
