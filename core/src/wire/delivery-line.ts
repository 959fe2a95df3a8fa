/**
 * What most adapters need between the broker and `deliver`: a queue in the order of arrival, from which one delivery
 * after the other is made. A delivery that is refused is made again, with a pause that grows, so that nothing overtakes.
 *
 *     resting ── push ──> delivering ── resolved: acknowledge ──> delivering the next; resting when that is answered
 *                           │   ▲
 *                        rejected (pause, same messages first)
 *
 *     pause() lets the delivery in hand end and starts no other, until resume(). A message that is no longer owned pauses too.
 */
import { durationText, sleep, type Env, type Logger } from '../base/index.ts'
import type { Deliver, IncomingMessage } from './wire.ts'

/** How a {@link DeliveryLine} handles what a broker gives. */
export interface DeliveryLineOptions<Held> {
  readonly env: Env
  readonly log: Logger
  /** For the log. */
  readonly service: string
  readonly deliver: Deliver
  /** The most messages of one delivery. */
  readonly batchMax: number
  readonly message: (held: Held) => IncomingMessage
  /** Those of a delivery that are to be delivered; the others are acknowledged with them. Default: all. See {@link wantedOf}. */
  readonly wanted?: (held: readonly Held[]) => Promise<readonly Held[]>
  /** False once the broker may have given the message to somebody else: it is left out, and not acknowledged. */
  readonly owned: (held: Held) => boolean
  /**
   * Called when a message is met that is no longer owned, where the broker will send it again behind others: the line
   * pauses in front of it, so that nothing overtakes, until the adapter has everything in order again and calls `resume`.
   * Without it such messages are left out, which keeps the order only where all that follow are lost with them.
   */
  readonly expired?: () => void
  /** Acknowledges what was delivered and is still owned, in the order of arrival. Errors are the adapter's to handle. */
  readonly acknowledge: (held: readonly Held[]) => void | Promise<void>
}

const retryBaseMs = 50
const retryMsMax = 5_000
/** A delivery that takes longer is a problem to be told. */
const slowMs = 30_000

/** Delivers in order, one batch at a time. Bounded by the adapter: it stops asking the broker while `size` is high. */
export class DeliveryLine<Held> {
  readonly #options: DeliveryLineOptions<Held>
  #waiting: Held[] = []
  #inHand: readonly Held[] = []
  #paused = false
  #running: Promise<void> | null = null
  #pausing = new AbortController()
  #failure: string | null = null
  #beganMs: number | null = null
  /** Of the delivery before the one in hand. */
  #acknowledging: Promise<void> = Promise.resolve()

  constructor(options: DeliveryLineOptions<Held>) {
    this.#options = options
  }

  /** How many messages wait or are being delivered. */
  get size(): number {
    return this.#waiting.length + this.#inHand.length
  }

  /** Everything that waits or is being delivered. */
  held(): Held[] {
    return [...this.#inHand, ...this.#waiting]
  }

  /** Puts messages at the end of the line. */
  push(...held: readonly Held[]): void {
    this.#waiting.push(...held)
    this.#wake()
  }

  /** Resolves when the delivery in hand has ended and is acknowledged; one that was refused waits again, in its place. */
  async pause(): Promise<void> {
    this.#paused = true
    this.#pausing.abort()
    await this.#running
  }

  resume(): void {
    this.#paused = false
    this.#pausing = new AbortController()
    this.#wake()
  }

  /** Takes everything out of the line that is not in hand, in order. */
  takeAll(): Held[] {
    const all = this.#waiting
    this.#waiting = []
    return all
  }

  /** Plain sentences on what keeps the line from moving; empty when nothing does. */
  problems(): string[] {
    const { env } = this.#options
    if (this.#failure !== null) return [`the ledger does not take what was received: ${this.#failure}`]
    const tookMs = this.#beganMs === null ? 0 : env.elapsed() - this.#beganMs
    return tookMs > slowMs ? [`the ledger has been taking ${durationText(tookMs)} for one delivery`] : []
  }

  #wake(): void {
    if (this.#running || this.#paused || this.#waiting.length === 0) return
    this.#running = this.#run()
      .then(() => this.#acknowledging)
      .finally(() => {
        this.#running = null
        this.#wake()
      })
  }

  async #run(): Promise<void> {
    const { env, batchMax } = this.#options
    while (!this.#paused && this.#waiting.length > 0) {
      // What arrives in one burst is delivered together.
      await env.breathe()
      if (this.#paused) return
      this.#inHand = this.#waiting.splice(0, batchMax)
      if (this.#holdsAtExpired()) return
      try {
        await this.#deliverInHand()
      } finally {
        this.#inHand = []
      }
    }
  }

  /** Cuts what is in hand in front of the first message that is not ours any more; true when nothing is left of it. */
  #holdsAtExpired(): boolean {
    const { owned, expired } = this.#options
    const at = expired ? this.#inHand.findIndex((held) => !owned(held)) : -1
    if (at === -1) return false
    this.#waiting.unshift(...this.#inHand.slice(at))
    this.#inHand = this.#inHand.slice(0, at)
    if (at > 0) return false
    this.#paused = true
    expired!()
    return true
  }

  async #deliverInHand(): Promise<void> {
    const { env, log, service, deliver, message, owned, expired } = this.#options
    for (let attempt = 0; ; attempt++) {
      const batch = this.#inHand.filter(owned)
      if (batch.length < this.#inHand.length && expired) return this.#putBack()
      if (batch.length === 0) return
      try {
        this.#beganMs = env.elapsed()
        const wanted = this.#options.wanted ? await this.#options.wanted(batch) : batch
        if (wanted.length > 0) await deliver(wanted.map(message))
        this.#beganMs = null
        this.#failure = null
        await this.#acknowledging
        this.#acknowledging = this.#acknowledge(batch)
        return
      } catch (error) {
        this.#beganMs = null
        this.#failure = error instanceof Error ? error.message : String(error)
        log.warn({ service, messages: batch.length, error }, 'a delivery was refused, and is made again')
      }
      await sleep(env, Math.min(retryMsMax, retryBaseMs * 2 ** attempt), this.#pausing.signal)
      if (!this.#paused) continue
      return this.#putBack()
    }
  }

  /** The next delivery need not wait for the broker's answer, only the next acknowledgement. Never rejects. */
  async #acknowledge(batch: readonly Held[]): Promise<void> {
    const { log, service, owned, acknowledge } = this.#options
    try {
      await acknowledge(batch.filter(owned))
    } catch (error) {
      log.warn({ service, messages: batch.length, error }, 'what was received could not be acknowledged')
    }
  }

  #putBack(): void {
    this.#waiting.unshift(...this.#inHand)
  }
}
