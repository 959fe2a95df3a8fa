/** A wire to the broker in memory. */
import { Buffer } from 'node:buffer'
import { QuadrilleError, type Cancel } from '../../base/index.ts'
import { toBinaryEvent } from '../../contracts/index.ts'
import { sendByKey } from '../send-by-key.ts'
import { isKnown } from '../wanted-types.ts'
import type {
  Deliver,
  OutgoingMessage,
  Receiver,
  Subscription,
  Wire,
  WireCapabilities,
  WireContext,
  WireHealth,
} from '../wire.ts'
import { Group, type Broker } from './memory-broker.ts'
import { MemoryReceiver, type Line } from './memory-receiver.ts'

/** How long a send waits for an answer that does not come. */
const answerMs = 500

/** One process's connection to a hub. */
export class MemoryWire implements Wire {
  readonly name: string
  readonly capabilities: WireCapabilities
  readonly #broker: Broker
  readonly #receivers = new Set<MemoryReceiver>()
  #context: WireContext | undefined
  #frozen = false
  #whenThawed: (() => void)[] = []
  #wasUp = true

  constructor(name: string, broker: Broker) {
    this.name = name
    this.#broker = broker
    const { dedupeMs, messageBytesMax, reportsUnroutable } = broker.settings
    this.capabilities = {
      order: 'always',
      // Who is told that nobody has subscribed need not find it later.
      from: reportsUnroutable ? ['now'] : ['beginning', 'now'],
      filters: true,
      reportsUnroutable,
      dedupeMs,
      messageBytesMax,
    }
  }

  async open(context: WireContext): Promise<void> {
    if (!this.#broker.up) throw this.#unreachable('it is switched off')
    this.#context = context
    this.#broker.watchers.add(this.#watch)
  }

  async close(): Promise<void> {
    this.#context = undefined
    this.#broker.watchers.delete(this.#watch)
    for (const thawed of this.#whenThawed.splice(0)) thawed()
    await Promise.all([...this.#receivers].map((receiver) => receiver.stop()))
    this.#receivers.clear()
  }

  async send(messages: readonly OutgoingMessage[]): Promise<readonly (QuadrilleError | null)[]> {
    await this.#answer()
    return sendByKey(messages, async (message) => this.#take(message))
  }

  async receive(subscription: Subscription, deliver: Deliver): Promise<Receiver> {
    const context = await this.#answer()
    const { service, types, from, lost } = subscription
    const known = this.#broker.groups.get(service)
    const problem = known
      ? known.gap && 'the hub has dropped the rest'
      : this.#isForgotten(subscription) && 'it was removed from the hub'
    if (problem && lost !== 'accept')
      throw new QuadrilleError('WIRE_POSITION_LOST', { wire: this.name, service, problem })
    const group = known ?? new Group(types, this.#broker.start(problem ? 'beginning' : from))
    group.gap = false
    group.types = types
    this.#broker.groups.set(service, group)
    this.#broker.forgotten.delete(service)
    const line: Line = {
      env: context.env,
      frozen: () => this.#frozen,
      notice: (notice) => context.notice(notice),
    }
    const receiver = new MemoryReceiver({ broker: this.#broker, line, group }, subscription, deliver)
    this.#receivers.add(receiver)
    return receiver
  }

  async health(): Promise<WireHealth> {
    const problems = this.#context === undefined ? ['it is not open'] : this.#broker.up ? [] : ['the broker is away']
    return { problems, facts: { sent: this.#broker.head - 1 } }
  }

  #isForgotten(subscription: Subscription): boolean {
    return isKnown(subscription) && this.#broker.forgotten.has(subscription.service)
  }

  /** Ends as the process would with kill -9. */
  crash(): void {
    for (const receiver of this.#receivers) receiver.crash()
    this.#receivers.clear()
    this.#context = undefined
    this.#broker.watchers.delete(this.#watch)
  }

  /** Lets nothing through any more; returns the way back. */
  freeze(): () => void {
    this.#frozen = true
    return () => {
      this.#frozen = false
      for (const thawed of this.#whenThawed.splice(0)) thawed()
      for (const receiver of this.#receivers) receiver.wake()
    }
  }

  readonly #watch = (): void => {
    const { up } = this.#broker
    if (up === this.#wasUp) return
    this.#wasUp = up
    this.#context?.notice({ kind: up ? 'restored' : 'lost', service: null, why: up ? 'it is back' : 'it is away' })
  }

  #unreachable(message: string): QuadrilleError {
    return new QuadrilleError('WIRE_UNREACHABLE', { wire: this.name, message })
  }

  /** Waits until the broker hears us. @throws QuadrilleError `WIRE_UNREACHABLE`. */
  async #answer(): Promise<WireContext> {
    const { env } = this.#context ?? {}
    if (this.#frozen && env) {
      let cancel: Cancel = () => {}
      await new Promise<void>((resolve) => {
        this.#whenThawed.push(resolve)
        cancel = env.timer(answerMs, resolve)
      })
      cancel()
      if (this.#frozen) throw this.#unreachable('it does not answer')
    }
    if (this.#context === undefined) throw this.#unreachable('the wire is not open')
    if (!this.#broker.up) throw this.#unreachable('it is switched off')
    return this.#context
  }

  #take({ event, dedupeId }: OutgoingMessage): QuadrilleError | null {
    const { messageBytesMax, reportsUnroutable } = this.#broker.settings
    const { attributes, data } = toBinaryEvent(event)
    const body = Buffer.from(data)
    const { type, key } = event
    if (messageBytesMax !== null) {
      const sizeBytes = body.length + Buffer.byteLength(JSON.stringify(attributes))
      const problem = `it has ${sizeBytes} bytes, the limit is ${messageBytesMax}`
      if (sizeBytes > messageBytesMax)
        return new QuadrilleError('WIRE_MESSAGE_REFUSED', { wire: this.name, type, problem })
    }
    if (reportsUnroutable && !this.#broker.isRoutable(type))
      return new QuadrilleError('WIRE_UNROUTABLE', { wire: this.name, type })
    const env = this.#context?.env
    if (env === undefined) return this.#unreachable('the wire was closed')
    this.#broker.append(
      { type, key, message: { attributes, body: new Uint8Array(body), channel: type }, dedupeId },
      env,
    )
    return null
  }
}
