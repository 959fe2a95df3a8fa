/** The wires to SNS with SQS, and to SQS alone. */
import { PublishBatchCommand } from '@aws-sdk/client-sns'
import { SendMessageBatchCommand } from '@aws-sdk/client-sqs'
import {
  isQuadrilleError,
  QuadrilleError,
  sendByKey,
  type Deliver,
  type OutgoingMessage,
  type Receiver,
  type Subscription,
} from 'quadrille'
import type { Wire, WireCapabilities, WireContext, WireHealth } from 'quadrille'
import { AwsCalls, hasAnswered, isClientFault, isMissing, messageOf } from './aws-calls.ts'
import { nameInArn, queueName } from './aws-names.ts'
import { checkedOptions, requestBytesMax, type AwsOptions, type AwsSettings, type SqsOptions } from './aws-options.ts'
import { Topology } from './aws-topology.ts'
import { encodeMessage, type RawMessage } from './message-body.ts'
import { PushedReceiver } from './pushed-receiver.ts'
import { QueueReceiver } from './queue-receiver.ts'
import { SendBatcher, type SendResult, type Waiting } from './send-batcher.ts'

const fifoDedupeMs = 300_000

/** The entry of a batch that failed, as both services tell it. */
interface Failed {
  readonly Id?: string | undefined
  readonly Code?: string | undefined
  readonly Message?: string | undefined
  readonly SenderFault?: boolean | undefined
}

/** Everything that an open wire has. */
interface Open {
  readonly context: WireContext
  readonly calls: AwsCalls
  readonly topology: Topology
  readonly batchers: Map<string, SendBatcher>
}

/** Carries events over SNS and SQS. Made by {@link sns} or {@link sqs}. */
export class AwsWire implements Wire {
  readonly name: string
  readonly capabilities: WireCapabilities
  readonly #settings: AwsSettings
  readonly #receivers = new Set<QueueReceiver | PushedReceiver>()
  #open: Open | undefined
  #sendProblem: string | null = null
  #sent = 0

  constructor(settings: AwsSettings) {
    this.#settings = settings
    this.name = settings.name
    const alone = settings.queues !== null
    this.capabilities = {
      order: settings.fifo ? 'always' : 'none',
      // A queue that the sender fills keeps what comes before anybody receives; a topic without subscribers does not.
      from: alone ? ['beginning'] : ['now'],
      filters: !alone,
      reportsUnroutable: alone,
      dedupeMs: settings.fifo ? fifoDedupeMs : 0,
      messageBytesMax: settings.messageBytesMax,
    }
  }

  async open(context: WireContext): Promise<void> {
    if (this.#open) return
    const calls = new AwsCalls(this.#settings, context.env)
    const topology = new Topology(calls, this.#settings, context.log)
    try {
      await topology.reach()
      await Promise.all(context.sends.map((type) => this.#prepare(topology, type)))
    } catch (error) {
      calls.close()
      throw this.#unreachable(error)
    }
    this.#open = { context, calls, topology, batchers: new Map() }
  }

  async close(): Promise<void> {
    const open = this.#open
    this.#open = undefined
    await Promise.all([...this.#receivers].map((receiver) => receiver.stop()))
    this.#receivers.clear()
    open?.calls.close()
  }

  async send(messages: readonly OutgoingMessage[]): Promise<readonly SendResult[]> {
    const open = this.#opened()
    const results = await sendByKey(messages, (message) => this.#sendOne(open, message))
    const told = results.filter((error) => error?.code !== 'WIRE_SEND_HELD')
    const lost = told.find((error) => error?.code === 'WIRE_UNREACHABLE')
    this.#notice(open.context, lost?.details)
    if (lost && told.every((error) => error?.code === 'WIRE_UNREACHABLE')) throw lost
    return results
  }

  async receive(subscription: Subscription, deliver: Deliver): Promise<Receiver> {
    const { context, calls, topology } = this.#opened()
    const { service, types } = subscription
    const settings = this.#settings
    const find = () => topology.subscribed(service, types)
    try {
      const { queue, gone } = await topology.begin(subscription)
      if (gone !== null) {
        context.notice({ kind: 'lost', service, why: gone })
        context.notice({ kind: 'restored', service, why: 'what was gone was made again' })
      }
      const receiver =
        settings.receiveBy === 'lambda'
          ? new PushedReceiver({ queue, topology, settings, context, subscription, deliver })
          : new QueueReceiver({ calls, topology, settings, context, subscription, deliver, find }, queue)
      this.#receivers.add(receiver)
      // One that has stopped must not be found by what is handed in: the app may have another one by then.
      const stop = async () => {
        await receiver.stop()
        this.#receivers.delete(receiver)
      }
      return { stop, health: () => receiver.health() }
    } catch (error) {
      throw this.#unreachable(error)
    }
  }

  async health(): Promise<WireHealth> {
    const problem = this.#open ? this.#sendProblem : 'it is not open'
    return { problems: problem ? [`${this.name} does not take events: ${problem}`] : [], facts: { sent: this.#sent } }
  }

  /**
   * Hands in messages that Lambda has fetched from a queue. Resolves after the ledger has committed.
   *
   * @param queueArn - `eventSourceARN` of the records.
   * @throws QuadrilleError `WIRE_CANNOT` when no service here receives from this queue; what the ledger throws.
   */
  async deliverFromQueue(queueArn: string, messages: readonly RawMessage[]): Promise<void> {
    const receiver = this.#pushed().find(({ queue }) => queue.name === nameInArn(queueArn))
    if (!receiver) throw this.#cannot(`no service here receives from the queue ${nameInArn(queueArn)} by Lambda`)
    await receiver.push(messages)
  }

  /**
   * Hands in messages that a topic has pushed to Lambda, to every service that receives events of its type.
   *
   * @throws QuadrilleError `WIRE_CANNOT` when there is none; what the ledger throws.
   */
  async deliverFromTopic(topicArn: string, messages: readonly RawMessage[]): Promise<void> {
    const receivers = this.#pushed().filter((receiver) => receiver.topics.has(nameInArn(topicArn)))
    if (receivers.length === 0) throw this.#cannot(`no service here receives from the topic ${nameInArn(topicArn)}`)
    await Promise.all(receivers.map((receiver) => receiver.push(messages)))
  }

  #pushed(): PushedReceiver[] {
    return [...this.#receivers].filter((receiver) => receiver instanceof PushedReceiver)
  }

  async #prepare(topology: Topology, type: string): Promise<void> {
    if (this.#settings.queues === null) await topology.topic(type)
    else await Promise.all(this.#settings.queues(type).map((service) => topology.queue(service)))
  }

  async #sendOne(open: Open, message: OutgoingMessage): Promise<SendResult> {
    const { type } = message.event
    const encoded = encodeMessage(message)
    const { messageBytesMax, queues, name: wire } = this.#settings
    if (encoded.sizeBytes > messageBytesMax) {
      const problem = `it has ${encoded.sizeBytes} bytes, more than ${messageBytesMax}`
      return new QuadrilleError('WIRE_MESSAGE_REFUSED', { wire, type, problem })
    }
    const entry = { type, message: encoded }
    if (queues === null) return this.#batcher(open, `topic ${type}`, (batch) => this.#publish(open, batch)).add(entry)
    const services = queues(type)
    if (services.length === 0) return new QuadrilleError('WIRE_UNROUTABLE', { wire, type })
    const results = await Promise.all(
      services.map((service) =>
        this.#batcher(open, `queue ${service}`, (batch) => this.#toQueue(open, service, batch)).add(entry),
      ),
    )
    return results.find((error) => error !== null) ?? null
  }

  #batcher(open: Open, name: string, send: (batch: readonly Waiting[]) => Promise<readonly Failed[]>): SendBatcher {
    const known = open.batchers.get(name)
    if (known) return known
    const batcher = new SendBatcher((batch) => this.#sendBatch(open, batch, send), open.context.env)
    open.batchers.set(name, batcher)
    return batcher
  }

  /** One call. When AWS refuses all of it for the fault of one, each goes by itself. */
  async #sendBatch(
    open: Open,
    batch: readonly Waiting[],
    send: (batch: readonly Waiting[]) => Promise<readonly Failed[]>,
  ): Promise<readonly SendResult[]> {
    try {
      const failed = new Map((await send(batch)).map((each) => [Number(each.Id), each]))
      this.#sent += batch.length - failed.size
      return batch.map(({ type }, index) => (failed.has(index) ? this.#failed(type, failed.get(index)!) : null))
    } catch (error) {
      if (isMissing(error)) open.topology.forget()
      else if (isClientFault(error) && batch.length > 1) {
        return (await Promise.all(batch.map((one) => this.#sendBatch(open, [one], send)))).flat()
      }
      return batch.map(({ type }) => this.#callFailed(type, error))
    }
  }

  async #publish({ calls, topology }: Open, batch: readonly Waiting[]): Promise<readonly Failed[]> {
    const TopicArn = await topology.topic(batch[0]!.type)
    const PublishBatchRequestEntries = batch.map(({ message }, index) => ({
      ...this.#entry(message, index),
      Message: message.body,
    }))
    const command = new PublishBatchCommand({ TopicArn, PublishBatchRequestEntries })
    return (await calls.call((abortSignal) => calls.sns.send(command, { abortSignal }))).Failed ?? []
  }

  async #toQueue({ calls, topology }: Open, service: string, batch: readonly Waiting[]): Promise<readonly Failed[]> {
    const { url: QueueUrl } = await topology.queue(service)
    const Entries = batch.map(({ message }, index) => ({ ...this.#entry(message, index), MessageBody: message.body }))
    const command = new SendMessageBatchCommand({ QueueUrl, Entries })
    return (await calls.call((abortSignal) => calls.sqs.send(command, { abortSignal }))).Failed ?? []
  }

  #entry({ attributes, group, dedupe }: Waiting['message'], index: number) {
    const ordered = this.#settings.fifo ? { MessageGroupId: group, MessageDeduplicationId: dedupe } : {}
    return { Id: String(index), MessageAttributes: { ...attributes }, ...ordered }
  }

  #failed(type: string, { Code = '', Message = '', SenderFault }: Failed): QuadrilleError {
    const message = [Code, Message].filter(Boolean).join(': ')
    const details = { wire: this.name, type }
    const refused = SenderFault && /Invalid|TooLong|BatchRequest/.test(Code)
    if (refused) return new QuadrilleError('WIRE_MESSAGE_REFUSED', { ...details, problem: message })
    return new QuadrilleError('WIRE_SEND_FAILED', { ...details, message })
  }

  #callFailed(type: string, error: unknown): QuadrilleError {
    const details = { wire: this.name, type }
    if (isQuadrilleError(error)) return error
    if (isMissing(error) || (hasAnswered(error) && !isClientFault(error))) {
      return new QuadrilleError('WIRE_SEND_FAILED', { ...details, message: messageOf(error) }, error)
    }
    if (!hasAnswered(error)) return this.#unreachable(error)
    return new QuadrilleError('WIRE_MESSAGE_REFUSED', { ...details, problem: messageOf(error) }, error)
  }

  #notice(context: WireContext, lost: { readonly message?: string } | undefined): void {
    const why = lost ? (lost.message ?? 'it does not answer') : null
    if ((why === null) === (this.#sendProblem === null)) return
    this.#sendProblem = why
    context.notice({ kind: why === null ? 'restored' : 'lost', service: null, why: why ?? 'events are taken again' })
  }

  #opened(): Open {
    if (this.#open) return this.#open
    throw new QuadrilleError('WIRE_UNREACHABLE', { wire: this.name, message: 'it is not open' })
  }

  #unreachable(error: unknown): QuadrilleError {
    if (isQuadrilleError(error)) return error
    return new QuadrilleError('WIRE_UNREACHABLE', { wire: this.name, message: messageOf(error) }, error)
  }

  #cannot(problem: string): QuadrilleError {
    return new QuadrilleError('WIRE_CANNOT', { wire: this.name, problem })
  }
}

/**
 * A wire over SNS and SQS: a topic for each event type, a queue for each service, subscribed to the topics of what it
 * receives. Patterns of `.where()` become filter policies over the body, as far as SNS can apply them.
 *
 * Topics without a subscriber drop what is sent: start the receiving services once before the sending ones, or declare
 * topics, queues and subscriptions elsewhere. AWS takes up to 15 minutes to apply a filter that was changed.
 *
 * @throws QuadrilleError `OPTION_INVALID`, `DURATION_INVALID`.
 *
 * @example
 * ```ts
 * const app = await start({ services, ledger, wires: [sns({ client: { region: 'eu-central-1' } })] })
 * ```
 */
export function sns(options: AwsOptions = {}): AwsWire {
  const settings = checkedOptions(options, 'sns')
  if (settings.messageBytesMax <= requestBytesMax) return new AwsWire({ ...settings, queues: null })
  const expected = `at most ${requestBytesMax} with SNS`
  throw new QuadrilleError('OPTION_INVALID', {
    option: 'messageBytesMax',
    value: String(settings.messageBytesMax),
    expected,
  })
}

/**
 * A wire over SQS alone, for few services that know each other: the sender puts a copy of each event into the queue of
 * every service that `queues` names for its type. What is sent before a service runs waits for it.
 *
 * @throws QuadrilleError `OPTION_INVALID`, `DURATION_INVALID`.
 *
 * @example
 * ```ts
 * const wire = sqs({ queues: { 'order.created': ['payments', 'inventory'], 'payment.processed': ['orders'] } })
 * ```
 */
export function sqs(options: SqsOptions): AwsWire {
  const settings = checkedOptions(options, 'sqs')
  const known = typeof options.queues === 'function' ? [] : Object.values(options.queues).flat()
  for (const service of known) queueName(settings, service)
  return new AwsWire(settings)
}
