/** The wire to Azure Service Bus: one topic, a subscription for each service, sessions for the order of keys. */
import { isServiceBusError, ServiceBusClient, type ServiceBusSender } from '@azure/service-bus'
import {
  isQuadrilleError,
  QuadrilleError,
  sleep,
  type Deliver,
  type Env,
  type OutgoingMessage,
  type Receiver,
} from 'quadrille'
import type { Subscription, Wire, WireCapabilities, WireContext, WireHealth } from 'quadrille'
import { checkedOptions, type AzureSettings, type ServiceBusOptions } from './azure-options.ts'
import { Topology } from './azure-topology.ts'
import { hangUp, hearLateLinks } from './late-links.ts'
import { PushedReceiver } from './pushed-receiver.ts'
import { encodeMessage, sizeOf, type RawMessage } from './service-bus-message.ts'
import { SessionReceiver } from './session-receiver.ts'

type Result = QuadrilleError | null

/** What Service Bus and the SDK add to a message and to a batch. */
const envelopeBytes = 1_024

/** Everything that an open wire has. */
interface Open {
  readonly context: WireContext
  readonly client: ServiceBusClient
  readonly sender: ServiceBusSender
  readonly topology: Topology
}

/** Carries events over Azure Service Bus. Made by {@link serviceBus}. */
export class AzureWire implements Wire {
  readonly name: string
  readonly capabilities: WireCapabilities
  readonly #settings: AzureSettings
  readonly #receivers = new Set<SessionReceiver | PushedReceiver>()
  #open: Open | undefined
  #sendProblem: string | null = null
  #sent = 0

  constructor(settings: AzureSettings) {
    this.#settings = settings
    this.name = settings.name
    this.capabilities = {
      order: 'always',
      from: ['now'],
      filters: settings.fields.length > 0,
      reportsUnroutable: false,
      dedupeMs: settings.dedupeMs,
      messageBytesMax: settings.messageBytesMax - envelopeBytes,
    }
  }

  async open(context: WireContext): Promise<void> {
    if (this.#open) return
    const { connectionString, namespace, credential, topic, timeoutMs, client: options } = this.#settings
    // The relay and the receivers repeat what fails, and know when.
    const config = { retryOptions: { maxRetries: 0, timeoutInMs: timeoutMs }, ...options }
    const client =
      connectionString === null
        ? new ServiceBusClient(namespace, credential as never, config)
        : new ServiceBusClient(connectionString, config)
    const sender = client.createSender(topic)
    const topology = new Topology(this.#settings, context.env)
    try {
      await topology.topic()
      // Opens the link, and so the connection.
      await sender.createMessageBatch()
    } catch (error) {
      await client.close().catch(() => {})
      throw this.#unreachable(error)
    }
    hearLateLinks(client, context.log)
    this.#open = { context, client, sender, topology }
  }

  async close(): Promise<void> {
    const open = this.#open
    this.#open = undefined
    await Promise.all([...this.#receivers].map((receiver) => receiver.stop()))
    this.#receivers.clear()
    if (!open) return
    const { client, sender, context } = open
    await within(context.env, this.#settings.timeoutMs, sender.close())
    // Not client.close(): accepts that wait would keep their timers, and the process, for a minute.
    if (!hangUp(client, this.name)) await within(context.env, this.#settings.timeoutMs, client.close())
  }

  async send(messages: readonly OutgoingMessage[]): Promise<readonly Result[]> {
    const open = this.#opened()
    const results = new Map<OutgoingMessage, Result>()
    const left = [...messages]
    let failure: Result = null
    while (left.length > 0 && failure === null) failure = await this.#sendSome(open, left, results)
    // Events behind a failure are not sent: one of them may be of the same key.
    for (const message of left) results.set(message, failure)
    this.#notice(open.context, failure)
    const nothing = [...results.values()].every((result) => result?.code === 'WIRE_UNREACHABLE')
    if (failure?.code === 'WIRE_UNREACHABLE' && nothing) throw failure
    return messages.map((message) => results.get(message)!)
  }

  async receive(subscription: Subscription, deliver: Deliver): Promise<Receiver> {
    const { context, client, topology } = this.#opened()
    const find = () => topology.subscription(subscription)
    const settings = this.#settings
    try {
      const name = await topology.subscription(subscription, true)
      const receiver =
        settings.receiveBy === 'functions'
          ? new PushedReceiver({ wire: this.name, name, topology, subscription, deliver })
          : new SessionReceiver({ client, topology, settings, context, subscription, deliver, find }, name)
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
   * Hands in messages that Azure Functions has fetched from the subscription of a service. Resolves after the ledger has
   * committed.
   *
   * @throws QuadrilleError `WIRE_CANNOT` when the service does not receive here; what the ledger throws.
   */
  async deliverFromSubscription(service: string, messages: readonly RawMessage[]): Promise<void> {
    const pushed = [...this.#receivers].filter((receiver) => receiver instanceof PushedReceiver)
    const receiver = pushed.find((each) => each.service === service)
    if (receiver) return receiver.push(messages)
    const problem = `the service ${service} does not receive here by Azure Functions`
    throw new QuadrilleError('WIRE_CANNOT', { wire: this.name, problem })
  }

  /** Sends one batch from the front, and takes what was sent from there. Returns the error that stops the rest. */
  async #sendSome(open: Open, left: OutgoingMessage[], results: Map<OutgoingMessage, Result>): Promise<Result> {
    const taken: OutgoingMessage[] = []
    try {
      const batch = await open.sender.createMessageBatch({ maxSizeInBytes: this.#settings.messageBytesMax })
      for (const message of left) {
        const next = encodeMessage(message, this.#settings)
        const fits = sizeOf(next) <= this.#settings.messageBytesMax - envelopeBytes && batch.tryAddMessage(next)
        if (!fits && taken.length > 0) break
        taken.push(message)
        if (!fits) break
      }
      if (batch.count > 0) await open.sender.sendMessages(batch)
      for (const message of taken) results.set(message, batch.count > 0 ? null : this.#refused(message))
      this.#sent += batch.count
      left.splice(0, taken.length)
      return null
    } catch (error) {
      const type = left[0]!.event.type
      if (isServiceBusError(error) && error.code === 'MessagingEntityNotFound')
        await open.topology.topic().catch(() => {})
      return this.#failed(type, error)
    }
  }

  #refused({ event: { type } }: OutgoingMessage): QuadrilleError {
    const problem = `it is larger than ${this.capabilities.messageBytesMax} bytes`
    return new QuadrilleError('WIRE_MESSAGE_REFUSED', { wire: this.name, type, problem })
  }

  #failed(type: string, error: unknown): QuadrilleError {
    const answered = [
      'MessagingEntityNotFound',
      'QuotaExceeded',
      'ServiceBusy',
      'MessagingEntityDisabled',
      'UnauthorizedAccess',
    ]
    if (!isServiceBusError(error) || !answered.includes(error.code)) return this.#unreachable(error)
    return new QuadrilleError('WIRE_SEND_FAILED', { wire: this.name, type, message: error.message }, error)
  }

  #notice(context: WireContext, failure: Result): void {
    const why = failure === null ? null : failure.message
    if ((why === null) !== (this.#sendProblem === null)) {
      context.notice({ kind: why === null ? 'restored' : 'lost', service: null, why: why ?? 'events are taken again' })
    }
    this.#sendProblem = why
  }

  #opened(): Open {
    if (this.#open) return this.#open
    throw new QuadrilleError('WIRE_UNREACHABLE', { wire: this.name, message: 'it is not open' })
  }

  #unreachable(error: unknown): QuadrilleError {
    if (isQuadrilleError(error)) return error
    const message = error instanceof Error ? error.message || error.name : String(error)
    return new QuadrilleError('WIRE_UNREACHABLE', { wire: this.name, message }, error)
  }
}

/** Waits for the SDK, which does not always come to an end when the connection is lost. */
async function within(env: Env, timeMs: number, end: Promise<void>): Promise<void> {
  const given = new AbortController()
  await Promise.race([end.catch(() => {}), sleep(env, timeMs, given.signal)]).finally(() => given.abort())
}

/**
 * A wire over Azure Service Bus: a topic that carries all events, a subscription for each service with a rule for each
 * type that it receives, and sessions, which keep the events of a key in order.
 *
 * Service Bus drops what nobody has subscribed to: start the receiving services once before the sending ones.
 *
 * @throws QuadrilleError `OPTION_INVALID`, `DURATION_INVALID`.
 *
 * @example
 * ```ts
 * const wire = serviceBus({ namespace: 'shop.servicebus.windows.net', credential: new DefaultAzureCredential() })
 * const app = await start({ services, ledger, wires: [wire] })
 * ```
 */
export function serviceBus(options: ServiceBusOptions): AzureWire {
  return new AzureWire(checkedOptions(options))
}
