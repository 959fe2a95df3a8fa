/**
 * Looks after exchanges and bindings while a subscription runs: the broker tells nobody that one was deleted.
 *
 *     bound --the exchange is gone, a binding is (where that can be seen)--> lost --made again--> restored --> bound
 *      |----it can not be made again--------------------------------------> lost, a problem, until a look that succeeds
 *       \---bindings can not be asked for---------------------------------> a problem; made again all the same
 */
import type { ChannelModel } from 'amqplib'
import { sleep, type Env } from 'quadrille'
import { inTime } from './rabbit-link.ts'
import { unboundTypes } from './rabbit-management.ts'
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
  /** Why it can not be seen whether a binding is gone; null when it can, or was not asked for. */
  #blind: string | null = null
  #running: Promise<void> | null = null

  constructor(options: BindingWatchOptions) {
    this.#options = options
  }

  /** Plain sentences; empty when the queue is bound as it should be. */
  get problems(): readonly string[] {
    return [this.#problem, this.#blind].filter((problem) => problem !== null)
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
      const unbound = await this.#unbound()
      try {
        await inTime({ env, settings, signal }, this.#assert(asked, unbound))
      } catch (error) {
        if (!signal.aborted && model() === asked) this.#lost(`the queue can not be bound: ${(error as Error).message}`)
      }
    }
  }

  /** The types whose bindings are seen to be gone. */
  async #unbound(): Promise<readonly string[]> {
    const { env, settings, subscription } = this.#options
    const { signal } = this.#ending
    const given = new AbortController()
    try {
      const asking = unboundTypes(settings, subscription, given.signal)
      const unbound = await inTime({ env, settings, signal }, asking)
      this.#blind = null
      return unbound
    } catch (error) {
      this.#blind = `whether the queue is bound can not be asked: ${(error as Error).message}`
      return []
    } finally {
      given.abort()
    }
  }

  async #assert(asked: ChannelModel, unbound: readonly string[]): Promise<void> {
    const { settings, subscription, model, notice } = this.#options
    const missing = await missingExchange(asked, settings)
    if (missing !== null) this.#lost(`the exchange ${missing} is gone, and with it its bindings`)
    else if (unbound.length > 0)
      this.#lost(`the queue was not bound to ${unbound.join(', ')}: what was sent meanwhile did not come`)
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
