/** Forgets what everyone has handled, in short transactions, so that a ledger does not grow for ever. */
import { sleep } from '../base/index.ts'
import type { Ledger } from '../ledger/index.ts'
import { isLeft, knownIn, type Known } from './declared.ts'
import { MemoryRounds } from './memory-rounds.ts'
import { sayRunning } from './registration.ts'
import type { Settings } from './settings.ts'

const rowsMax = 500
const pauseMs = 5
/**
 * A round looks at a bounded stretch of the records, and finding little there does not mean that there is no more. Where
 * two have found nothing at all, the rest can wait: an idle app should ask for little.
 */
const roundsMin = { found: 4, nothing: 2 }

/** Trims the ledger every now and then until stopped. */
export class Retention {
  readonly #ledger: Ledger
  readonly #settings: Settings
  readonly #rested: () => void
  readonly #memory: MemoryRounds
  readonly #stopping = new AbortController()
  #loop: Promise<void> = Promise.resolve()
  #trimming = false

  constructor(ledger: Ledger, settings: Settings, rested: () => void) {
    this.#ledger = ledger
    this.#settings = settings
    this.#rested = rested
    this.#memory = new MemoryRounds(ledger, settings)
  }

  /** True while it waits for its time. */
  get isIdle(): boolean {
    return !this.#trimming
  }

  start(): void {
    if (this.#settings.retention.everyMs > 0) this.#loop = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#loop
  }

  async #run(): Promise<void> {
    const { env, retention, log } = this.#settings
    for (;;) {
      // A share of the time at random, so that several processes do not all trim at once.
      await this.#sleep(retention.everyMs * (0.5 + env.random()))
      if (this.#stopping.signal.aborted) return
      await this.#trim().catch((error: unknown) =>
        log.warn({ err: error }, 'retention could not trim the ledger; it tries again'),
      )
    }
  }

  async #trim(): Promise<void> {
    const { env, retention } = this.#settings
    const nowMs = env.now()
    const known = await knownIn(this.#ledger, await sayRunning(this.#settings.services, this.#ledger, nowMs))
    const upTo = await handledByAll(this.#ledger, known, nowMs)
    const horizon = Math.max(0, await this.#memory.horizon(upTo, known))
    const request = {
      upTo,
      eventsBefore: nowMs - retention.eventsMs,
      idsBefore: horizon,
      // A record says when its time is over, not when it was kept.
      recordsBefore: horizon + retention.memoryMs,
      limit: rowsMax,
    }
    let sum = 0
    for (let round = 1; !this.#stopping.signal.aborted; round++) {
      const removed = await this.#ledger.trim(request)
      sum += removed
      if (removed < rowsMax && round >= roundsMin[sum > 0 ? 'found' : 'nothing']) return
      await this.#sleep(pauseMs)
    }
  }

  async #sleep(delayMs: number): Promise<void> {
    const slept = sleep(this.#settings.env, delayMs, this.#stopping.signal)
    this.#trimming = false
    this.#rested()
    await slept
    this.#trimming = true
  }
}

/** The position up to which every reader of the ledger has handled everything. */
async function handledByAll(ledger: Ledger, known: Known, nowMs: number): Promise<number> {
  let upTo = Infinity
  for (const reader of known.readers)
    if (!isLeft(reader, known, nowMs)) upTo = Math.min(upTo, ...(await ledger.positions(reader)))
  return Number.isFinite(upTo) ? upTo : 0
}
