/**
 * A subscription whose messages Lambda fetches: they are handed in, and this process fetches nothing. It looks after what the
 * queue is subscribed to as long as it runs; an invocation is mostly over before the first look.
 */
import type { Deliver, Receiver, ReceiverHealth, Subscription, WireContext } from 'quadrille'
import { QuadrilleError } from 'quadrille'
import { messageOf } from './aws-calls.ts'
import { channelFinder, topicName } from './aws-names.ts'
import type { AwsSettings } from './aws-options.ts'
import type { Queue, Topology } from './aws-topology.ts'
import { decodeMessage, type RawMessage } from './message-body.ts'
import { watchOf, type SubscriptionWatch } from './subscription-watch.ts'

/** What it works with. */
export interface PushedParts {
  readonly queue: Queue
  readonly topology: Topology
  readonly settings: AwsSettings
  readonly context: WireContext
  readonly subscription: Subscription
  readonly deliver: Deliver
}

/** Takes what is handed in. */
export class PushedReceiver implements Receiver {
  readonly #parts: PushedParts
  readonly #busy = new Set<Promise<void>>()
  /** Null where nothing is subscribed to. */
  readonly #watch: SubscriptionWatch | null
  #stopped = false

  constructor(parts: PushedParts) {
    this.#parts = parts
    this.#watch = watchOf(parts)
  }

  get queue(): Queue {
    return this.#parts.queue
  }

  /** The names of the topics that it receives from. */
  get topics(): ReadonlySet<string> {
    return new Set(this.#types.map((type) => topicName(this.#parts.settings, type)))
  }

  get #types(): string[] {
    return this.#parts.subscription.types.map(({ type }) => type)
  }

  /** Resolves after the commit. */
  async push(messages: readonly RawMessage[]): Promise<void> {
    const { deliver, settings, subscription, queue } = this.#parts
    const problem = `${subscription.service} is stopping and takes nothing from ${queue.name}`
    if (this.#stopped) throw new QuadrilleError('WIRE_CANNOT', { wire: settings.name, problem })
    const withChannel = channelFinder(settings, this.#types)
    const delivery = deliver(messages.map((message) => withChannel(decodeMessage(message))))
    this.#busy.add(delivery)
    try {
      await delivery
    } finally {
      this.#busy.delete(delivery)
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all([Promise.allSettled(this.#busy), this.#watch?.stop()])
  }

  async health(): Promise<ReceiverHealth> {
    const problems = [...(this.#watch?.problems ?? [])]
    try {
      return { lag: (await this.#parts.topology.depth(this.queue)).all, problems }
    } catch (error) {
      return {
        lag: null,
        problems: [...problems, `the queue ${this.queue.name} can not be asked: ${messageOf(error)}`],
      }
    }
  }
}
