/** A subscription whose messages Azure Functions fetches: they are handed in, and this process fetches nothing. */
import { QuadrilleError, type Deliver, type Receiver, type ReceiverHealth, type Subscription } from 'quadrille'
import type { Topology } from './azure-topology.ts'
import { decodeMessage, type RawMessage } from './service-bus-message.ts'

/** What it works with. */
export interface PushedParts {
  readonly wire: string
  readonly name: string
  readonly topology: Topology
  readonly subscription: Subscription
  readonly deliver: Deliver
}

/** Takes what is handed in. */
export class PushedReceiver implements Receiver {
  readonly #parts: PushedParts
  readonly #busy = new Set<Promise<void>>()
  #stopped = false

  constructor(parts: PushedParts) {
    this.#parts = parts
  }

  get service(): string {
    return this.#parts.subscription.service
  }

  /** Resolves after the commit. */
  async push(messages: readonly RawMessage[]): Promise<void> {
    const { deliver, subscription, wire } = this.#parts
    if (this.#stopped) throw new QuadrilleError('WIRE_CANNOT', { wire, problem: `${this.service} is stopping` })
    const types = new Set(subscription.types.map(({ type }) => type))
    const delivery = deliver(messages.map((message) => decodeMessage(message, types)))
    this.#busy.add(delivery)
    try {
      await delivery
    } finally {
      this.#busy.delete(delivery)
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.allSettled(this.#busy)
  }

  async health(): Promise<ReceiverHealth> {
    try {
      return { lag: (await this.#parts.topology.depth(this.#parts.name)).active, problems: [] }
    } catch {
      return { lag: null, problems: [] }
    }
  }
}
