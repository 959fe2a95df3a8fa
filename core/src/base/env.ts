/**
 * The only door to time, timers, randomness and ids. Everything that runs takes an `Env`, so that a test or a
 * simulation can own what would otherwise differ from run to run.
 */

/** Cancels a timer; calling it again does nothing. */
export type Cancel = () => void

/** Time, timers, randomness and ids. {@link systemEnv} is the real one; `quadrille/testing` has one with virtual time. */
export interface Env {
  /** Wall clock, milliseconds since 1970. May jump; never used to measure how long something took. */
  readonly now: () => number
  /** A clock that only moves forward, in milliseconds with fractions, for measuring. */
  readonly elapsed: () => number
  /** Calls `run` once, not before `delayMs` have passed (any number of days), unless cancelled. */
  readonly timer: (delayMs: number, run: () => void) => Cancel
  /** Lets pending I/O and other tasks run, then resolves. */
  readonly breathe: () => Promise<void>
  /** A number in [0, 1). */
  readonly random: () => number
  /** A new UUIDv7; within one Env each is greater than the one before. */
  readonly uuid: () => string
}

/**
 * `min` doubled so many times, at most `max`: the longest pause before the next try. Whoever fails together with others
 * waits a random share of it.
 */
export const doubledMs = ({ min, max }: { readonly min: number; readonly max: number }, times: number): number =>
  Math.min(max, min * 2 ** times)

/** Resolves after `delayMs`, or at once when `signal` is aborted. */
export function sleep(env: Env, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const done = () => {
      cancel()
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const cancel = env.timer(delayMs, done)
    signal?.addEventListener('abort', done, { once: true })
  })
}
