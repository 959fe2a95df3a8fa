/** The wire: one connection that sends, and one for each subscription. */
import { jetstreamManager, type JetStreamManager, type StreamInfo } from '@nats-io/jetstream'
import { millis, type NatsConnection } from '@nats-io/transport-node'
import { QuadrilleError, sendByKey, sleep } from 'quadrille'
import type { Deliver, OutgoingMessage, Receiver, Subscription } from 'quadrille'
import type { Wire, WireCapabilities, WireContext, WireHealth } from 'quadrille'
import { closeConnection, dropConnection, openConnection } from './nats-connection.ts'
import { toNatsMessage } from './nats-message.ts'
import { natsSettings, type NatsOptions, type NatsSettings } from './nats-options.ts'
import { NatsPublisher, nobody } from './nats-publisher.ts'
import { NatsReceiver } from './nats-receiver.ts'
import { ensureStream, settleMs, wireError } from './nats-topology.ts'

const messageBytesDefault = 1_048_576
/** The server's code for a message that is larger than the stream allows. */
const tooLarge = 10054

/** What is open between `open` and `close`. */
interface Link {
  readonly context: WireContext
  readonly connection: NatsConnection
  readonly publisher: NatsPublisher
  readonly manager: JetStreamManager
}

export class NatsWire implements Wire {
  readonly #settings: NatsSettings
  readonly #receivers = new Set<NatsReceiver>()
  #link: Link | null = null
  #stream: StreamInfo | null = null
  #connected = false
  #closing = false
  #restoring: Promise<void> | null = null

  constructor(options: NatsOptions) {
    this.#settings = natsSettings(options)
  }

  get name(): string {
    return this.#settings.name
  }

  get capabilities(): WireCapabilities {
    const { duplicate_window: window, max_msg_size: streamMax = -1 } = this.#stream?.config ?? {}
    const serverMax = this.#link?.connection.info?.max_payload ?? messageBytesDefault
    return {
      order: 'one-receiver',
      from: ['beginning', 'now'],
      filters: false,
      reportsUnroutable: false,
      dedupeMs: window === undefined ? this.#settings.dedupeMs : millis(window),
      messageBytesMax: streamMax > 0 ? Math.min(streamMax, serverMax) : serverMax,
    }
  }

  async open(context: WireContext): Promise<void> {
    const { name, timeoutMs } = this.#settings
    const connection = await openConnection(this.#settings)
    try {
      const manager = await jetstreamManager(connection, { timeout: timeoutMs })
      this.#stream = await ensureStream(manager, this.#settings)
      const { inboxPrefix } = this.#settings.connection
      const publisher = new NatsPublisher({ connection, env: context.env, timeoutMs, inboxPrefix })
      this.#link = { context, connection, manager, publisher }
    } catch (error) {
      await closeConnection(connection)
      throw wireError(name, error)
    }
    this.#closing = false
    this.#connected = true
    void this.#watch(this.#link)
  }

  async close(): Promise<void> {
    this.#closing = true
    await Promise.all([...this.#receivers].map((receiver) => receiver.stop()))
    const link = this.#link
    this.#link = null
    if (!link) return
    await closeConnection(link.connection)
    link.publisher.close()
  }

  async send(messages: readonly OutgoingMessage[]): Promise<readonly (QuadrilleError | null)[]> {
    const link = this.#link
    if (!link || !this.#connected)
      throw new QuadrilleError('WIRE_UNREACHABLE', { wire: this.name, message: 'the connection is lost' })
    return sendByKey(messages, (message) => this.#sendOne(link, message))
  }

  async receive(subscription: Subscription, deliver: Deliver): Promise<Receiver> {
    const context = this.#link?.context
    if (!context) throw new QuadrilleError('WIRE_UNREACHABLE', { wire: this.name, message: 'it is not open' })
    const receiver = new NatsReceiver({
      connection: await openConnection(this.#settings),
      settings: this.#settings,
      subscription,
      context,
      deliver,
      giveBack: (addresses) => {
        for (const address of addresses) this.#link?.connection.publish(address, '-NAK')
      },
      closed: (ended) => this.#receivers.delete(ended),
    })
    this.#receivers.add(receiver)
    await receiver.start()
    return receiver
  }

  async health(): Promise<WireHealth> {
    const link = this.#link
    if (!link || !this.#connected) return { problems: ['the connection is lost'], facts: {} }
    try {
      const { state, config } = await link.manager.streams.info(this.#settings.stream)
      const inMemory = config.storage === 'memory'
      return {
        problems: inMemory ? [`the stream ${config.name} is kept in memory: a restart of the server loses it`] : [],
        facts: {
          server: link.connection.info?.version ?? '',
          stream: config.name,
          messages: state.messages,
          bytes: state.bytes,
        },
      }
    } catch (error) {
      return { problems: [`the stream does not answer: ${(error as Error).message}`], facts: {} }
    }
  }

  async #sendOne(link: Link, message: OutgoingMessage): Promise<QuadrilleError | null> {
    const { type } = message.event
    const { subject, body, headers, bytes, problem } = toNatsMessage(this.#settings.prefix, message)
    const bytesMax = this.capabilities.messageBytesMax!
    if (bytes > bytesMax) return this.#refused(type, `it has ${bytes} bytes, and the server takes ${bytesMax}`)
    if (problem !== null) return this.#refused(type, problem)
    const failure = await link.publisher.publish(subject, body, headers)
    if (failure === null) return null
    if (failure.code === tooLarge) return this.#refused(type, failure.message)
    // The stream is gone, or the server has not loaded it yet.
    if (failure.code === nobody) this.#restoreStream(link)
    return new QuadrilleError('WIRE_SEND_FAILED', { wire: this.name, type, message: failure.message })
  }

  #refused(type: string, problem: string): QuadrilleError {
    return new QuadrilleError('WIRE_MESSAGE_REFUSED', { wire: this.name, type, problem })
  }

  /** Makes the stream again if it is gone; once at a time. */
  #restoreStream(link: Link): void {
    if (this.#restoring) return
    this.#restoring = this.#restore(link)
      .catch(() => {
        // The next event that can not be sent comes here again.
      })
      .finally(() => (this.#restoring = null))
  }

  async #restore(link: Link): Promise<void> {
    const { stream } = this.#settings
    link.context.notice({ kind: 'lost', service: null, why: `the stream ${stream} does not answer` })
    this.#stream = await ensureStream(link.manager, this.#settings, () => sleep(link.context.env, settleMs))
    link.context.notice({ kind: 'restored', service: null, why: `the stream ${stream} is there` })
  }

  async #watch({ connection, context }: Link): Promise<void> {
    for await (const { type } of connection.status()) {
      if (this.#closing) return
      if (type === 'staleConnection') dropConnection(connection)
      if (type === 'disconnect') {
        this.#connected = false
        context.notice({ kind: 'lost', service: null, why: 'the connection is lost' })
      } else if (type === 'reconnect') {
        this.#connected = true
        context.notice({ kind: 'restored', service: null, why: 'the connection is back' })
      }
    }
  }
}
