/** The wire: one connection that sends, with confirms, and one for each subscription. */
import type { ConfirmChannel, Message } from 'amqplib'
import { QuadrilleError, sendByKey } from 'quadrille'
import type { Deliver, OutgoingMessage, Receiver, Subscription } from 'quadrille'
import type { Wire, WireCapabilities, WireContext, WireHealth } from 'quadrille'
import { inTime, RabbitLink } from './rabbit-link.ts'
import { toRabbitMessage } from './rabbit-message.ts'
import { rabbitSettings, type RabbitOptions, type RabbitSettings } from './rabbit-options.ts'
import { RabbitReceiver } from './rabbit-receiver.ts'
import { ask, deadName, ensureExchanges, wireError } from './rabbit-topology.ts'

export class RabbitWire implements Wire {
  readonly capabilities: WireCapabilities
  readonly #settings: RabbitSettings
  readonly #receivers = new Set<RabbitReceiver>()
  /** Ids that the broker has sent back because no queue takes their type; it does so before it confirms them. */
  readonly #returned = new Set<string>()
  #context: WireContext | null = null
  #link: RabbitLink<ConfirmChannel> | null = null
  /** Why the broker reads nothing from us at present; null when it does. */
  #alarm: string | null = null
  /** Resolves when what was written has left; null when there is room. */
  #full: Promise<void> | null = null

  constructor(options: RabbitOptions) {
    this.#settings = rabbitSettings(options)
    this.capabilities = {
      order: 'always',
      from: ['now'],
      filters: false,
      reportsUnroutable: true,
      dedupeMs: 0,
      messageBytesMax: this.#settings.messageBytesMax,
    }
  }

  get name(): string {
    return this.#settings.name
  }

  async open(context: WireContext): Promise<void> {
    const { env } = context
    const tell = (kind: 'lost' | 'restored', why: string) => context.notice({ kind, service: null, why })
    const link = new RabbitLink<ConfirmChannel>({
      env,
      settings: this.#settings,
      setUp: async (model) => {
        await ensureExchanges(model, this.#settings)
        this.#alarm = null
        this.#full = null
        model.on('blocked', (reason) => {
          this.#alarm = `the broker takes nothing at present: ${reason}`
          tell('lost', this.#alarm)
        })
        model.on('unblocked', () => {
          this.#alarm = null
          tell('restored', 'the broker takes events again')
        })
        const channel = await model.createConfirmChannel()
        channel.on('return', ({ properties }: Message) => this.#returned.add(properties.messageId as string))
        return channel
      },
      lost: (why) => tell('lost', why),
      restored: () => tell('restored', 'the connection is back'),
    })
    try {
      await link.start()
    } catch (error) {
      await link.close()
      throw wireError(this.name, error)
    }
    this.#link = link
    this.#context = context
  }

  async close(): Promise<void> {
    await Promise.all([...this.#receivers].map((receiver) => receiver.stop()))
    await this.#link?.close()
    this.#link = null
  }

  async send(messages: readonly OutgoingMessage[]): Promise<readonly (QuadrilleError | null)[]> {
    const channel = this.#link?.up?.channel
    const why = this.#alarm ?? (channel ? null : (this.#link?.problem ?? 'the connection is lost'))
    if (!channel || why !== null)
      throw new QuadrilleError('WIRE_UNREACHABLE', { wire: this.name, message: why ?? 'the connection is lost' })
    return sendByKey(messages, (message) => this.#sendOne(channel, message))
  }

  async receive(subscription: Subscription, deliver: Deliver): Promise<Receiver> {
    const context = this.#context
    const wire = this.name
    if (!context || !this.#link) throw new QuadrilleError('WIRE_UNREACHABLE', { wire, message: 'it is not open' })
    const closed = (ended: RabbitReceiver) => this.#receivers.delete(ended)
    const receiver = new RabbitReceiver({ settings: this.#settings, subscription, context, deliver, closed })
    this.#receivers.add(receiver)
    await receiver.start()
    return receiver
  }

  async health(): Promise<WireHealth> {
    const up = this.#link?.up
    if (!up) return { problems: [this.#link?.problem ?? 'the connection is lost'], facts: {} }
    if (this.#alarm !== null) return { problems: [this.#alarm], facts: {} }
    const limit = { env: this.#context!.env, settings: this.#settings }
    const dead = deadName(this.#settings)
    try {
      const asked = ask(up.model, (channel) => channel.checkQueue(dead))
      const count = (await inTime(limit, asked))?.messageCount ?? 0
      const problems = count > 0 ? [`${count} messages in ${dead}, where the broker puts what it drops`] : []
      const version = String(up.model.connection.serverProperties.version)
      return { problems, facts: { server: version, exchange: this.#settings.exchange, dropped: count } }
    } catch (error) {
      return { problems: [`the broker does not answer: ${(error as Error).message}`], facts: {} }
    }
  }

  async #sendOne(channel: ConfirmChannel, message: OutgoingMessage): Promise<QuadrilleError | null> {
    const { type } = message.event
    const wire = this.name
    const { body, options, bytes, problem } = toRabbitMessage(message, this.#settings.headerPrefix)
    const { messageBytesMax } = this.#settings
    if (problem !== null || bytes > messageBytesMax) {
      const why = problem ?? `it has ${bytes} bytes, of ${messageBytesMax}`
      return new QuadrilleError('WIRE_MESSAGE_REFUSED', { wire, type, problem: why })
    }
    while (this.#full) await this.#full
    this.#link?.gather()
    const failure = await this.#confirmed(channel, (answer) => {
      if (!channel.publish(this.#settings.exchange, type, body, options, answer)) this.#waitForRoom(channel)
    })
    const returned = this.#returned.delete(options.messageId as string)
    if (failure !== null) return new QuadrilleError('WIRE_SEND_FAILED', { wire, type, message: failure })
    return returned ? new QuadrilleError('WIRE_UNROUTABLE', { wire, type }) : null
  }

  /** Publishes; resolves to null when the broker has confirmed, otherwise to why it has not. */
  #confirmed(channel: ConfirmChannel, publish: (answer: (error: unknown) => void) => void): Promise<string | null> {
    const { env } = this.#context!
    const { timeoutMs } = this.#settings
    return new Promise((resolve) => {
      const cancel = env.timer(timeoutMs, () => resolve(`no answer within ${timeoutMs} ms`))
      const answer = (error: unknown) => {
        cancel()
        resolve(error === null || error === undefined ? null : error instanceof Error ? error.message : 'not accepted')
      }
      try {
        publish(answer)
      } catch (error) {
        answer(error)
      }
    })
  }

  #waitForRoom(channel: ConfirmChannel): void {
    this.#full ??= new Promise<void>((resolve) => {
      channel.once('drain', resolve)
      channel.once('close', resolve)
    }).then(() => {
      this.#full = null
    })
  }
}
