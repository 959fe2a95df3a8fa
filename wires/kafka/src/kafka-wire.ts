/** The wire: one sender, and a receiver for each subscription. */
import { QuadrilleError } from 'quadrille'
import type { Deliver, OutgoingMessage, Receiver, Subscription, Wire, WireCapabilities } from 'quadrille'
import type { WireContext, WireHealth } from 'quadrille'
import * as failure from './kafka-failure.ts'
import { KafkaLink } from './kafka-link.ts'
import { settingsOf, type KafkaOptions, type KafkaSettings } from './kafka-options.ts'
import { KafkaReceiver } from './kafka-receiver.ts'
import { KafkaSender } from './kafka-sender.ts'
import { KafkaTopics } from './kafka-topics.ts'

/**
 * Carries events over Apache Kafka (or what speaks its protocol): a topic for each event type, a consumer group for each
 * service, CloudEvents in binary mode, events of a key in one partition and in order within their type. `send` resolves
 * when all replicas in sync have the events; offsets are committed after the ledger has. Missing topics are made, those
 * that exist are never changed.
 *
 * @throws QuadrilleError `OPTION_INVALID`.
 * @example
 * ```ts
 * const app = await start({ services: [orders], ledger: sqlite('orders.db'), wires: [kafka({ brokers: ['kafka:9092'] })] })
 * ```
 */
export function kafka(options: KafkaOptions): Wire {
  return new KafkaWire(settingsOf(options))
}

interface Opened {
  readonly context: WireContext
  readonly topics: KafkaTopics
  readonly sender: KafkaSender
  readonly link: KafkaLink
}

class KafkaWire implements Wire {
  readonly name: string
  readonly capabilities: WireCapabilities
  readonly #settings: KafkaSettings
  readonly #receivers = new Set<KafkaReceiver>()
  #opened: Opened | undefined

  constructor(settings: KafkaSettings) {
    this.name = settings.name
    this.#settings = settings
    this.capabilities = {
      order: 'always',
      from: ['beginning', 'now'],
      filters: false,
      reportsUnroutable: false,
      dedupeMs: 0,
      messageBytesMax: settings.messageBytesMax,
    }
  }

  async open(context: WireContext): Promise<void> {
    const settings = this.#settings
    const topics = new KafkaTopics(settings, context.env)
    const link = new KafkaLink(context, null)
    const sender = new KafkaSender({ settings, env: context.env, topics, link })
    try {
      await sender.open()
      await topics.ensure(context.sends.map(settings.topicOf))
    } catch (error) {
      await sender.close()
      throw failure.asWireError(this.name, error)
    }
    this.#opened = { context, topics, sender, link }
  }

  async close(): Promise<void> {
    const opened = this.#opened
    this.#opened = undefined
    await Promise.all([...this.#receivers].map((receiver) => receiver.stop()))
    this.#receivers.clear()
    await opened?.sender.close()
  }

  async send(messages: readonly OutgoingMessage[]): Promise<readonly (QuadrilleError | null)[]> {
    return this.#open().sender.send(messages)
  }

  async receive(subscription: Subscription, deliver: Deliver): Promise<Receiver> {
    const { context, topics } = this.#open()
    const receiver = new KafkaReceiver({ settings: this.#settings, context, topics, subscription, deliver })
    this.#receivers.add(receiver)
    try {
      await receiver.start()
    } catch (error) {
      this.#receivers.delete(receiver)
      throw error
    }
    return receiver
  }

  async health(): Promise<WireHealth> {
    const { sender } = this.#open()
    const problem = await sender.probe()
    const facts = { brokers: this.#settings.client.bootstrapBrokers.join(','), receivers: this.#receivers.size }
    return { problems: problem === null ? [] : [`${this.name} does not answer: ${problem}`], facts }
  }

  #open(): Opened {
    if (this.#opened === undefined)
      throw new QuadrilleError('WIRE_UNREACHABLE', { wire: this.name, message: 'it is not open, or was closed' })
    return this.#opened
  }
}
