/** The real Env: the machine's clock, timers and randomness. The only file in core that may touch them. */
import { randomFillSync } from 'node:crypto'
import { uuidV7Generator } from './uuid.ts'
import type { Env } from './env.ts'

/** Timers above this overflow in Node and would fire at once. */
const timerMsMax = 2 ** 31 - 1

const pool = new Uint32Array(1024)
let poolUsed = pool.length

function cryptoRandom32(): number {
  if (poolUsed === pool.length) {
    randomFillSync(pool)
    poolUsed = 0
  }
  return pool[poolUsed++]!
}

/** The machine's own time and randomness. What `start()` uses unless it is given another Env. */
export const systemEnv: Env = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  timer(delayMs, run) {
    let timer: NodeJS.Timeout
    const arm = (leftMs: number): void => {
      // Node cuts fractions off, which would be too early, and fires at once when the delay is too long for it.
      const nextMs = Math.min(Math.ceil(leftMs), timerMsMax)
      timer = setTimeout(leftMs > nextMs ? () => arm(leftMs - nextMs) : run, nextMs)
    }
    arm(Math.max(0, delayMs))
    return () => clearTimeout(timer)
  },
  breathe: () => new Promise((resolve) => setImmediate(resolve)),
  random: () => cryptoRandom32() / 2 ** 32,
  uuid: uuidV7Generator(() => Date.now(), cryptoRandom32),
}
