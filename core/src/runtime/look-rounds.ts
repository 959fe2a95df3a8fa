/**
 * Waiting for facts, for everybody who waits in one look after the other, so that many who wait cost little more than one.
 *
 *     resting --look(), somebody waits--> looking --nothing was told meanwhile--> resting
 *                                                 --look() meanwhile--> pausing, if it took long --> looking
 */
import { QuadrilleError, sleep, type Cancel, type Env } from '../base/index.ts'

/** How long until a look is taken although nothing has told of a change. */
const lookAgainMs = 250
/** After a look that took so long there is a pause as long: whoever waits uses half of the time at most. */
const pauseFromMs = 2

/** What is waited for, and for how long. */
export interface Awaited {
  readonly waitedFor: string
  readonly timeoutMs: number
}

/** Looks, one at a time. */
export class LookRounds {
  readonly #env: Env
  readonly #round: () => Promise<void>
  /** How many wait. */
  #waiting = 0
  #looking = false
  #wanted = false
  /** Told when a look has ended that has begun later than they asked. */
  #asked: (() => void)[] = []
  #poll: Cancel = () => {}

  /** @param round - Looks for everybody who waits, and tells those whose fact is there; must not reject. */
  constructor(env: Env, round: () => Promise<void>) {
    this.#env = env
    this.#round = round
  }

  /** Something may have changed. */
  look(): void {
    if (this.#waiting === 0) return
    this.#wanted = true
    if (this.#looking) return
    this.#looking = true
    void this.#run()
  }

  /**
   * Waits until a round tells it. `first` is its own first look, which may find the fact at once.
   *
   * @throws QuadrilleError `TIMED_OUT` when the time is over and a last look has not found it; what `first` throws.
   */
  async wait<T>(awaited: Awaited, told: PromiseWithResolvers<T>, first: () => Promise<T | undefined>): Promise<T> {
    const endsAt = this.#env.elapsed() + awaited.timeoutMs
    told.promise.catch(() => {})
    if (this.#waiting === 0) this.#arm()
    this.#waiting += 1
    try {
      const found = await first()
      if (found !== undefined) return found
      this.look()
      return await told.promise.finally(this.#endsAt(endsAt, () => void this.#late(awaited, told)))
    } finally {
      this.#waiting -= 1
      if (this.#waiting === 0) this.#poll()
    }
  }

  #endsAt(endsAt: number, end: () => void): Cancel {
    const leftMs = endsAt - this.#env.elapsed()
    if (leftMs > 0) return this.#env.timer(leftMs, end)
    end()
    return () => {}
  }

  async #late<T>({ waitedFor, timeoutMs }: Awaited, told: PromiseWithResolvers<T>): Promise<void> {
    // A look that is under way may have looked before the time was over.
    await new Promise<void>((resolve) => {
      this.#asked.push(resolve)
      this.look()
    })
    told.reject(new QuadrilleError('TIMED_OUT', { waitedFor, waitedMs: timeoutMs }))
  }

  async #run(): Promise<void> {
    while (this.#wanted && this.#waiting > 0) {
      this.#wanted = false
      const asked = this.#asked.splice(0)
      const beganMs = this.#env.elapsed()
      await this.#round()
      for (const done of asked) done()
      const tookMs = this.#env.elapsed() - beganMs
      if (this.#wanted && tookMs >= pauseFromMs) await sleep(this.#env, tookMs)
    }
    this.#looking = false
  }

  /** Others may change something without our knowing. */
  #arm(): void {
    this.#poll = this.#env.timer(lookAgainMs, () => {
      this.#arm()
      this.look()
    })
  }
}
