/** An Env with virtual time and seeded randomness: tests own the clock, and the same seed gives the same run. */
import { uuidV7Generator, type Env } from '../base/index.ts'
import { Randomness } from '../base/randomness.ts'

/** An Env whose time only moves when it is told to. */
export interface ManualEnv extends Env {
  /** Moves the clock and runs every timer that falls due on the way, in order; resolves when they have run. */
  advance(byMs: number): Promise<void>
  /** When the next timer is due; Infinity for none. */
  nextTimerAt(): number
}

/**
 * Makes an Env with virtual time.
 *
 * @param options - `startMs` default 2026-01-01T00:00:00Z, `seed` default 1.
 */
export function manualEnv(options: { readonly startMs?: number; readonly seed?: number } = {}): ManualEnv {
  let nowMs = options.startMs ?? Date.UTC(2026, 0, 1)
  const randomness = new Randomness(options.seed ?? 1)
  const timers = new Set<{ readonly atMs: number; readonly order: number; readonly run: () => void }>()
  let order = 0
  const next = () => {
    let first: { readonly atMs: number; readonly order: number; readonly run: () => void } | undefined
    for (const timer of timers) {
      if (!first || timer.atMs < first.atMs || (timer.atMs === first.atMs && timer.order < first.order)) first = timer
    }
    return first
  }
  const breathe = () => new Promise<void>((resolve) => setImmediate(resolve))
  return {
    now: () => nowMs,
    elapsed: () => nowMs,
    timer(delayMs, run) {
      const timer = { atMs: nowMs + Math.max(0, delayMs), order: order++, run }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    breathe,
    random: () => randomness.next(),
    uuid: uuidV7Generator(
      () => nowMs,
      () => randomness.bits(),
    ),
    nextTimerAt: () => next()?.atMs ?? Infinity,
    async advance(byMs) {
      const endMs = nowMs + byMs
      for (let timer = next(); timer && timer.atMs <= endMs; timer = next()) {
        nowMs = Math.max(nowMs, timer.atMs)
        timers.delete(timer)
        timer.run()
        await breathe()
      }
      nowMs = endMs
    },
  }
}
