/**
 * Turn after turn, by whoever goes through the log: a reader, or a relay.
 *
 *     start --> turn --something done--> turn
 *                    --nothing to do---> rest --woken, or its time is over--> turn
 *                    --failed----------> pause, growing --> learn what the ledger has --> turn
 *     stop, or the ledger is closed: the turn in hand is the last
 */
import { doubledMs, isQuadrilleError, sleep, type Cancel, type Env, type Logger } from '../base/index.ts'

const pauseAfterErrorMs = { min: 50, max: 5_000 }

/** Whose turns they are. */
export interface TurnTaker {
  /** For the log, with its reader. */
  readonly what: 'reader' | 'relay'
  readonly reader: string
  readonly env: Env
  readonly log: Logger
  /** Returns false when there was nothing to do. */
  turn(): Promise<boolean>
  /** After a turn that has failed, what is known in memory may be wrong. When this fails it is done again before the next turn. */
  learn(): Promise<void>
  /** How long there will be nothing to do, if nobody wakes it. */
  restMs(): number
  /** Told when it rests. */
  rests(): void
}

/** Runs until stopped. */
export class TurnLoop {
  readonly #taker: TurnTaker
  readonly #stopping = new AbortController()
  #loop: Promise<void> = Promise.resolve()
  #isWoken = false
  #resting: (() => void) | undefined
  #isUnsure = false
  #errors = 0

  constructor(taker: TurnTaker) {
    this.#taker = taker
  }

  /** Aborted when no further turn begins. */
  get signal(): AbortSignal {
    return this.#stopping.signal
  }

  /** True while nothing is to be done, as far as anybody has told. */
  get isResting(): boolean {
    return this.#resting !== undefined && !this.#isWoken
  }

  /** @param when - Resolves when the first turn may begin; must not reject. */
  start(when?: Promise<void>): void {
    this.#loop = this.#run(when)
  }

  /** There may be something to do. */
  wake(): void {
    this.#isWoken = true
    this.#resting?.()
  }

  /** Begins no further turn. */
  close(): void {
    this.#stopping.abort()
    this.wake()
  }

  /** Begins no further turn; resolves when the last has ended and what there is is known. @throws what learning throws. */
  async stop(): Promise<void> {
    this.close()
    await this.#loop
    if (this.#isUnsure) await this.#taker.learn()
  }

  /** A step that returns false is followed by a rest, unless somebody has woken it since the step began. */
  async stepOrRest(step: () => Promise<boolean>, restMs = () => this.#taker.restMs()): Promise<void> {
    this.#isWoken = false
    if (await step()) await this.#taker.env.breathe()
    else if (!this.#isWoken) await this.#rest(restMs())
  }

  async #run(when: Promise<void> | undefined): Promise<void> {
    if (when) await when
    while (!this.signal.aborted) {
      try {
        if (this.#isUnsure) await this.#taker.learn()
        this.#isUnsure = false
        await this.stepOrRest(() => this.#taker.turn())
        this.#errors = 0
      } catch (error) {
        this.#isUnsure = true
        await this.#failed(error)
      }
    }
  }

  async #failed(error: unknown): Promise<void> {
    const { env, log, what, reader } = this.#taker
    if (isQuadrilleError(error, 'LEDGER_CLOSED')) return this.#stopping.abort()
    // Of what it has read nothing was committed, and nothing is wrong.
    if (isQuadrilleError(error, 'LEDGER_PAGE_VOID')) return
    if (!isQuadrilleError(error, 'LEASE_LOST')) {
      this.#errors += 1
      log.error({ err: error, reader }, `the ${what} could not go on; it tries again`)
    }
    await sleep(env, env.random() * doubledMs(pauseAfterErrorMs, this.#errors), this.signal)
  }

  async #rest(forMs: number): Promise<void> {
    const { env } = this.#taker
    if (forMs <= 0) return env.breathe()
    let cancel: Cancel = () => {}
    const rested = new Promise<void>((resolve) => {
      this.#resting = resolve
      if (forMs < Infinity) cancel = env.timer(forMs, resolve)
    })
    this.#taker.rests()
    await rested
    this.#resting = undefined
    cancel()
  }
}
