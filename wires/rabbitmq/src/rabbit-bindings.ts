/** Looks after exchanges and bindings while a subscription runs: the broker tells nobody that one was deleted. */
import type { ChannelModel } from 'amqplib'
import { sleep, type Env } from 'quadrille'
import { inTime } from './rabbit-link.ts'
import type { RabbitSettings } from './rabbit-options.ts'
import { ensureBindings, ensureExchanges, missingExchange, type Bound } from './rabbit-topology.ts'

/** What a watch works with. */
export interface BindingWatchOptions {
  readonly env: Env
  readonly settings: RabbitSettings
  readonly subscription: Bound
  /** The connection; null while it is down. */
  readonly model: () => ChannelModel | null
  readonly notice: (kind: 'lost' | 'restored', why: string) => void
}

/** Asserts everything again at every heartbeat, except the queue: its loss ends the consumer, which is told another way. */
export class BindingWatch {
  readonly #options: BindingWatchOptions
  readonly #ending = new AbortController()
  #problem: string | null = null
  #running: Promise<void> | null = null

  constructor(options: BindingWatchOptions) {
    this.#options = options
  }

  /** Plain sentences; empty when the queue is bound as it should be. */
  get problems(): readonly string[] {
    return this.#problem === null ? [] : [this.#problem]
  }

  /** To be called when everything has just been asserted. Runs until `stop()`. */
  begin(): void {
    this.#problem = null
    this.#running ??= this.#run()
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    this.#ending.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { env, settings, model } = this.#options
    const { signal } = this.#ending
    while (!signal.aborted) {
      await sleep(env, settings.heartbeatMs, signal)
      const asked = model()
      if (!asked || signal.aborted) continue
      try {
        await inTime({ env, settings, signal }, this.#assert(asked))
      } catch (error) {
        if (!signal.aborted && model() === asked) this.#lost(`the queue can not be bound: ${(error as Error).message}`)
      }
    }
  }

  async #assert(asked: ChannelModel): Promise<void> {
    const { settings, subscription, model, notice } = this.#options
    const missing = await missingExchange(asked, settings)
    if (missing !== null) this.#lost(`the exchange ${missing} is gone, and with it its bindings`)
    await ensureExchanges(asked, settings)
    await ensureBindings(asked, settings, subscription)
    if (this.#problem === null || model() !== asked) return
    this.#problem = null
    notice('restored', 'the queue is bound again')
  }

  #lost(why: string): void {
    if (this.#problem === null) this.#options.notice('lost', why)
    this.#problem = why
  }
}
