/** Looks after the subscriptions of a queue to its topics: SNS tells nobody that one was removed, and what is sent then counts as sent. */
import { sleep, type Subscription, type WireContext } from 'quadrille'
import { messageOf } from './aws-calls.ts'
import type { AwsSettings } from './aws-options.ts'
import type { Topology } from './aws-topology.ts'

/** What a watch works with. */
export interface SubscriptionWatchOptions {
  readonly context: WireContext
  readonly service: string
  readonly everyMs: number
  /** Makes what is missing; resolves to the topics whose subscription it had to make. */
  readonly mend: () => Promise<readonly string[]>
}

/**
 *     looking --all are there----------> a pause --> looking
 *        |-----some had to be made-----> lost, restored: what was sent meanwhile is gone --> a pause --> looking
 *         \----they can not be made----> a problem, until a look that succeeds
 */
export class SubscriptionWatch {
  readonly #options: SubscriptionWatchOptions
  readonly #ending = new AbortController()
  readonly #running: Promise<void>
  #problem: string | null = null

  constructor(options: SubscriptionWatchOptions) {
    this.#options = options
    this.#running = this.#run()
  }

  /** Plain sentences; empty when all is well. */
  get problems(): readonly string[] {
    return this.#problem === null ? [] : [this.#problem]
  }

  /** Resolves when the look in hand has ended. */
  async stop(): Promise<void> {
    this.#ending.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { context, everyMs } = this.#options
    const { signal } = this.#ending
    for (;;) {
      await sleep(context.env, everyMs, signal)
      if (signal.aborted) return
      await this.#look()
    }
  }

  async #look(): Promise<void> {
    const { context, service, mend } = this.#options
    try {
      const made = await mend()
      this.#problem = null
      if (made.length === 0) return
      const what = `the subscription of ${service} to ${made.join(', ')}`
      context.notice({ kind: 'lost', service, why: `${what} was gone, and what was sent meanwhile did not come` })
      context.notice({ kind: 'restored', service, why: `${what} was made again` })
    } catch (error) {
      this.#problem = `the subscriptions of ${service} can not be looked after: ${messageOf(error)}`
    }
  }
}

/** Looks after what a receiver is subscribed to; null where that is nothing, because senders fill the queues. */
export function watchOf({
  topology,
  settings,
  context,
  subscription: { service, types },
}: {
  readonly topology: Topology
  readonly settings: AwsSettings
  readonly context: WireContext
  readonly subscription: Subscription
}): SubscriptionWatch | null {
  if (settings.queues !== null) return null
  const mend = () => topology.mend(service, types)
  return new SubscriptionWatch({ context, service, everyMs: settings.checkEveryMs, mend })
}
