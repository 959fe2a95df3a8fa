/** One subscription: a quorum queue with a single active consumer, read over a connection of its own. */
import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib'
import { DeliveryLine, isKnown, QuadrilleError, wantedOf } from 'quadrille'
import type { Deliver, Receiver, ReceiverHealth, Subscription, WireContext } from 'quadrille'
import { BindingWatch } from './rabbit-bindings.ts'
import { inTime, RabbitLink } from './rabbit-link.ts'
import { fromRabbitMessage } from './rabbit-message.ts'
import { unboundTypes } from './rabbit-management.ts'
import type { RabbitSettings } from './rabbit-options.ts'
import { orderProblem } from './rabbit-queue-check.ts'
import { ask, ensureSubscription, isQueueLost, queueName, wireError } from './rabbit-topology.ts'

/** A message, and the channel that delivered it: only there can it be acknowledged. */
interface Held {
  readonly message: ConsumeMessage
  readonly channel: Channel
}

const batchMax = 256

/** What a receiver works with. */
export interface RabbitReceiverOptions {
  readonly settings: RabbitSettings
  readonly subscription: Subscription
  readonly context: WireContext
  readonly deliver: Deliver
  readonly closed: (receiver: RabbitReceiver) => void
}

export class RabbitReceiver implements Receiver {
  readonly #options: RabbitReceiverOptions
  readonly #line: DeliveryLine<Held>
  readonly #link: RabbitLink<Channel>
  readonly #bindings: BindingWatch
  /** The channel whose messages are ours; null while nothing is. */
  #current: Channel | null = null
  /** Why the order may not hold; null when it does. */
  #unordered: string | null = null
  #first = true
  #stopping: Promise<void> | null = null

  constructor(options: RabbitReceiverOptions) {
    const { settings, subscription, context, deliver } = options
    this.#options = options
    this.#line = new DeliveryLine<Held>({
      env: context.env,
      log: context.log,
      service: subscription.service,
      deliver,
      batchMax,
      message: ({ message }) => fromRabbitMessage(message),
      // A binding of another version of the service, earlier or later, may be there.
      wanted: (batch) => wantedOf(subscription, batch, ({ message }) => message.fields.routingKey),
      owned: ({ channel }) => channel === this.#current,
      acknowledge: (batch) => this.#acknowledge(batch),
    })
    this.#link = new RabbitLink<Channel>({
      env: context.env,
      settings,
      prepare: async () => {
        // A delivery in hand ends first, so that what comes again stands behind it.
        await this.#line.pause()
        this.#line.takeAll()
      },
      setUp: (model) => this.#setUp(model),
      lost: (why) => this.#lost(why),
      restored: () => this.#notice('restored', 'messages come again'),
    })
    this.#bindings = new BindingWatch({
      env: context.env,
      settings,
      subscription,
      model: () => this.#link.up?.model ?? null,
      notice: (kind, why) => this.#notice(kind, why),
    })
  }

  /** Resolves when the queue exists, is bound, and is consumed. */
  async start(): Promise<void> {
    try {
      await this.#link.start()
    } catch (error) {
      await this.stop()
      throw wireError(this.#options.settings.name, error)
    }
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async health(): Promise<ReceiverHealth> {
    const { settings, subscription, context } = this.#options
    const up = this.#link.up
    if (!up) return { lag: null, problems: [this.#link.problem ?? 'the connection is lost', ...this.#line.problems()] }
    try {
      const asked = ask(up.model, (channel) => channel.checkQueue(queueName(settings, subscription.service)))
      const queue = await inTime({ env: context.env, settings }, asked)
      const unordered = this.#unordered === null ? [] : [this.#unordered]
      const problems = [...unordered, ...this.#bindings.problems, ...this.#line.problems()]
      return { lag: (queue?.messageCount ?? 0) + this.#line.size, problems }
    } catch (error) {
      return { lag: null, problems: [`the broker does not answer: ${(error as Error).message}`] }
    }
  }

  async #setUp(model: ChannelModel): Promise<Channel> {
    const { settings, subscription } = this.#options
    const { service } = subscription
    const wire = settings.name
    const known = this.#first && isKnown(subscription)
    if (await isQueueLost(model, settings, { service, known })) {
      const problem = `the queue ${queueName(settings, service)} is gone, and what was in it`
      if (this.#first && subscription.lost !== 'accept')
        throw new QuadrilleError('WIRE_POSITION_LOST', { wire, service, problem })
      this.#notice('lost', problem)
    } else await this.#missBindings()
    await ensureSubscription(model, settings, subscription)
    this.#unordered = await orderProblem(model, queueName(settings, service))
    const channel = await model.createChannel()
    await channel.prefetch(settings.heldMax)
    this.#current = channel
    const take = (message: ConsumeMessage | null) => this.#take(message, channel)
    await channel.consume(queueName(settings, service), take, { noAck: false })
    this.#first = false
    this.#line.resume()
    this.#bindings.begin()
    return channel
  }

  /** Types that the ledger knows, and that the queue is not bound to: only the management API tells. */
  async #missBindings(): Promise<void> {
    const { settings, subscription, context } = this.#options
    const { service, known = [], lost } = subscription
    const given = new AbortController()
    // The subscription does not wait for an API that is silent; that it is, is a problem of health(), by the watch.
    const cancel = context.env.timer(settings.timeoutMs / 4, () => given.abort())
    const unbound = await unboundTypes(settings, subscription, given.signal)
      .catch((): readonly string[] => [])
      .finally(cancel)
    const missed = this.#first ? unbound.filter((type) => known.includes(type)) : unbound
    if (missed.length === 0) return
    const problem = `the queue of ${service} was not bound to ${missed.join(', ')}: what was sent meanwhile did not come`
    if (this.#first && lost !== 'accept')
      throw new QuadrilleError('WIRE_POSITION_LOST', { wire: settings.name, service, problem })
    context.notice({ kind: 'lost', service, why: problem })
    if (this.#first) context.notice({ kind: 'restored', service, why: 'the queue is bound again' })
  }

  #take(message: ConsumeMessage | null, channel: Channel): void {
    if (channel !== this.#current) return
    if (!message) return this.#link.giveUp('the broker has ended the subscription: its queue was deleted, or moved')
    this.#line.push({ message, channel })
  }

  /** The line is in the order of arrival, so all up to the last are done. */
  #acknowledge(batch: readonly Held[]): void {
    const last = batch.at(-1)
    if (!last) return
    try {
      last.channel.ack(last.message, true)
    } catch {
      // The channel is closing: everything comes again, and the ledger knows it.
    }
  }

  #lost(why: string): void {
    this.#current = null
    this.#notice('lost', why)
  }

  #notice(kind: 'lost' | 'restored', why: string): void {
    this.#options.context.notice({ kind, service: this.#options.subscription.service, why })
  }

  async #stop(): Promise<void> {
    await Promise.all([this.#line.pause(), this.#bindings.stop()])
    this.#current = null
    // The end of the channel puts what it held back to where it was in the queue, before the next consumer gets anything.
    await this.#link.close()
    this.#options.closed(this)
  }
}
