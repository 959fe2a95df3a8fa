/**
 * One subscription: a durable consumer, read over a connection of its own.
 *
 *     recovering ── the consumer is there, and asked ──> collecting ── all that is unacknowledged is here ──> flowing
 *         ▲                                                  │                                                   │
 *         └──────────── connection, consumer, heartbeats or a lease lost (what is held is given back) ───────────┘
 *
 * Collecting keeps the order. After any loss the server hands out again, one by one and as their leases end, what it has
 * no acknowledgement for, and new messages between. Nothing is delivered until all of that is here; then it is sorted.
 */
import type { ConsumerInfo, ConsumerMessages, JetStreamManager, JsMsg } from '@nats-io/jetstream'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { byName, DeliveryLine, sleep, wantedOf } from 'quadrille'
import type { Cancel, Deliver, Receiver, ReceiverHealth, Subscription, WireContext } from 'quadrille'
import { consumerName, fromNatsMessage, typeOfSubject } from './nats-message.ts'
import type { NatsSettings } from './nats-options.ts'
import { closeConnection, dropConnection } from './nats-connection.ts'
import { ensureConsumer, settleMs, wireError, writePosition } from './nats-topology.ts'

/** A message in our hands, and until when it is ours. */
interface Held {
  readonly message: JsMsg
  leaseEndsMs: number
}

const batchMax = 256
const retryMs = 200
const watchMs = 5_000
/** While collecting: how often the server is asked whether all is here. */
const collectPollMs = 20
const closeMs = 2_000
const tooBusy = 'the process was too busy, or asleep, to keep what it held'

/** What a receiver works with. */
export interface NatsReceiverOptions {
  readonly connection: NatsConnection
  readonly settings: NatsSettings
  readonly subscription: Subscription
  readonly context: WireContext
  readonly deliver: Deliver
  /** Gives back over another connection what can not be given back over this one any more. */
  readonly giveBack: (addresses: readonly string[]) => void
  readonly closed: (receiver: NatsReceiver) => void
}

export class NatsReceiver implements Receiver {
  readonly #options: NatsReceiverOptions
  readonly #line: DeliveryLine<Held>
  readonly #leaseMs: number
  #manager: JetStreamManager | null = null
  #messages: ConsumerMessages | null = null
  /** Not null while collecting: what has come, by place in the stream. */
  #collected: Map<number, Held> | null = null
  #recovering: Promise<void> | null = null
  /** Something was lost while recovering: it begins again. */
  #lostAgain = false
  #stopping: Promise<void> | null = null
  #problem: string | null = null
  #connected = true
  #arrived = 0
  #silentBehind = 0
  #doneSeq = 0
  #writtenSeq = 0
  #created = ''
  readonly #timers = new Set<Cancel>()

  constructor(options: NatsReceiverOptions) {
    const { settings, subscription, context, deliver } = options
    this.#options = options
    // Ours a little shorter than the server's, which begins to count before the message is here.
    this.#leaseMs = settings.ackWaitMs * 0.8
    const typeOfName = byName((subject) => typeOfSubject(settings.prefix, subject))
    const typeOf = ({ message }: Held): string => typeOfName(message.subject)
    this.#line = new DeliveryLine<Held>({
      env: context.env,
      log: context.log,
      service: subscription.service,
      deliver,
      batchMax,
      message: (held) => ({ ...fromNatsMessage(held.message.data, held.message.headers), channel: typeOf(held) }),
      wanted: (batch) => wantedOf(subscription, batch, typeOf),
      owned: (held) => this.#isOurs(held),
      expired: () => this.#lost(tooBusy),
      acknowledge: (batch) => this.#acknowledge(batch),
    })
  }

  /** Resolves when the consumer exists and is asked. */
  async start(): Promise<void> {
    const { settings, connection } = this.#options
    try {
      this.#manager = await jetstreamManager(connection, { timeout: settings.timeoutMs, checkAPI: false })
      await this.#subscribe(true)
    } catch (error) {
      await this.stop()
      throw wireError(settings.name, error)
    }
    void this.#watchConnection()
    this.#every(settings.ackWaitMs / 4, () => this.#renew())
    this.#every(watchMs, () => this.#watch())
    this.#recovering = this.#collect()
      .then(() => (this.#lostAgain ? this.#recover() : undefined))
      .finally(() => (this.#recovering = null))
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async health(): Promise<ReceiverHealth> {
    const problems = [...(this.#problem === null ? [] : [this.#problem]), ...this.#line.problems()]
    try {
      const info = await this.#info()
      return { lag: info.num_pending + info.num_ack_pending, problems }
    } catch (error) {
      if (this.#problem === null) problems.push(`the server does not answer: ${(error as Error).message}`)
      return { lag: null, problems }
    }
  }

  #isOurs({ leaseEndsMs }: Held): boolean {
    return this.#options.context.env.elapsed() < leaseEndsMs
  }

  async #subscribe(first: boolean): Promise<void> {
    const { settings, subscription, connection, context } = this.#options
    const serverVersion = connection.info?.version ?? ''
    const { gap, created } = await ensureConsumer(this.#manager!, settings, {
      ...subscription,
      serverVersion,
      refusesGaps: first && subscription.lost !== 'accept',
      ...(first ? {} : { settle: () => sleep(context.env, settleMs) }),
    })
    if (gap !== null && (this.#created !== created || first)) this.#notice('lost', gap)
    if (this.#created !== created) this.#doneSeq = this.#writtenSeq = 0
    this.#created = created
    const js = this.#manager!.jetstream()
    const consumer = await js.consumers.get(settings.stream, consumerName(subscription.service))
    this.#collected ??= new Map()
    this.#messages = await consumer.consume({
      max_messages: Math.min(batchMax, settings.heldMax),
      expires: 10_000,
      idle_heartbeat: 1_500,
      callback: (message) => this.#take(message),
    })
    void this.#watchConsumer(this.#messages)
  }

  #take(message: JsMsg): void {
    this.#arrived += 1
    const held: Held = { message, leaseEndsMs: this.#options.context.env.elapsed() + this.#leaseMs }
    if (this.#collected) this.#collected.set(message.seq, held)
    else this.#line.push(held)
  }

  #acknowledge(batch: readonly Held[]): void {
    for (const { message } of batch) {
      message.ack()
      this.#doneSeq = Math.max(this.#doneSeq, message.seq)
    }
  }

  /** Waits until everything that the server has handed out without being told that it is done is here. */
  async #collect(): Promise<void> {
    const { env, log } = this.#options.context
    const { settings, subscription } = this.#options
    // Twice a lease: by then whoever else held something has acknowledged it, or has lost it to us.
    const untilMs = env.elapsed() + 2 * settings.ackWaitMs
    for (;;) {
      if (this.#stopping || this.#lostAgain) return
      const before = this.#collected!.size
      const unacknowledged = await this.#info().then(
        (info) => info.num_ack_pending,
        () => -1,
      )
      // Had something come meanwhile, equal numbers could be of different messages: some here, others with somebody else.
      if (unacknowledged === before && before === this.#collected!.size) break
      if (env.elapsed() > untilMs) {
        log.warn({ service: subscription.service }, 'somebody else holds messages of this service: order is not sure')
        break
      }
      await sleep(env, collectPollMs)
    }
    const inOrder = [...this.#collected!.entries()].sort(([a], [b]) => a - b).map(([, held]) => held)
    this.#collected = null
    this.#line.push(...inOrder)
    this.#line.resume()
  }

  #lost(why: string): void {
    if (this.#stopping) return
    this.#lostAgain = true
    if (this.#recovering) return
    this.#notice('lost', why)
    this.#recovering = this.#recover().finally(() => (this.#recovering = null))
  }

  async #recover(): Promise<void> {
    const { env } = this.#options.context
    while (this.#lostAgain && !this.#stopping) {
      // A delivery in hand ends first, so that what comes again stands behind it.
      await this.#line.pause()
      this.#lostAgain = false
      this.#giveBack()
      // The client asks on by itself after a reconnection: what comes now must not get into the line either.
      this.#collected = new Map()
      await this.#messages?.close()
      try {
        await this.#subscribe(false)
        await this.#collect()
      } catch (error) {
        this.#problem = `the subscription can not be restored: ${(error as Error).message}`
        this.#lostAgain = true
        await sleep(env, retryMs)
      }
    }
    if (!this.#stopping) this.#notice('restored', 'messages come again')
  }

  /** Tells the server that what waits here can go to somebody else at once. */
  #giveBack(): void {
    for (const one of this.#takeAll()) one.message.nak()
  }

  /** Takes what waits here and is still ours, in order. */
  #takeAll(): Held[] {
    const held = [...(this.#collected?.values() ?? []), ...this.#line.takeAll()]
    this.#collected = null
    return held.filter((one) => this.#isOurs(one)).sort((a, b) => a.message.seq - b.message.seq)
  }

  #renew(): void {
    const { env } = this.#options.context
    const held = [...(this.#collected?.values() ?? []), ...this.#line.held()]
    const ours = held.filter((one) => this.#isOurs(one))
    for (const one of ours) {
      one.message.working()
      one.leaseEndsMs = env.elapsed() + this.#leaseMs
    }
    if (ours.length < held.length) this.#lost(tooBusy)
    this.#remember().catch(() => {
      // The next renewal tries again: this memory is only needed when the server has lost its own.
    })
  }

  /** Nothing waits and nothing is held: the server has also passed what is not for us. */
  #passed(info: ConsumerInfo): void {
    if (info.num_pending > 0 || info.num_ack_pending > 0) return
    this.#doneSeq = Math.max(this.#doneSeq, info.delivered.stream_seq)
  }

  async #remember(): Promise<void> {
    const seq = this.#doneSeq
    if (seq === this.#writtenSeq || this.#recovering) return
    const { settings, subscription } = this.#options
    await writePosition(this.#manager!, settings, { service: subscription.service, created: this.#created, seq })
    this.#writtenSeq = seq
  }

  /** Connected, behind, and nothing comes: asks anew. */
  #watch(): void {
    const before = this.#arrived
    if (this.#recovering || this.#line.size > 0) return
    this.#info().then(
      (info) => {
        this.#passed(info)
        const stuck = info.num_pending > 0 && this.#arrived === before && this.#line.size === 0
        this.#silentBehind = stuck ? this.#silentBehind + 1 : 0
        if (this.#silentBehind >= 2) this.#lost(`${info.num_pending} messages wait at the server, and none comes`)
      },
      () => {
        // The pings of the connection find out whether the server is there.
      },
    )
  }

  #info() {
    const { settings, subscription } = this.#options
    return this.#manager!.consumers.info(settings.stream, consumerName(subscription.service))
  }

  async #watchConnection(): Promise<void> {
    const { connection } = this.#options
    for await (const status of connection.status()) {
      if (status.type === 'staleConnection') dropConnection(connection)
      if (status.type === 'disconnect') {
        this.#connected = false
        this.#problem = 'the connection is lost'
        this.#notice('lost', this.#problem)
      }
      if (status.type === 'reconnect') {
        this.#connected = true
        this.#lost('the connection was lost')
      }
    }
  }

  async #watchConsumer(messages: ConsumerMessages): Promise<void> {
    const reasons: Readonly<Record<string, string>> = {
      consumer_deleted: 'the consumer was deleted',
      consumer_not_found: 'the consumer is gone',
      stream_not_found: 'the stream is gone',
      heartbeats_missed: 'the server does not give a sign of life',
    }
    for await (const { type } of messages.status()) {
      const why = reasons[type]
      if (why !== undefined && messages === this.#messages) this.#lost(why)
    }
  }

  #notice(kind: 'lost' | 'restored', why: string): void {
    if (kind === 'restored') this.#problem = null
    else this.#problem ??= why
    this.#options.context.notice({ kind, service: this.#options.subscription.service, why })
  }

  #every(periodMs: number, run: () => void): void {
    const { env } = this.#options.context
    const arm = (): void => {
      const cancel = env.timer(periodMs, () => {
        this.#timers.delete(cancel)
        arm()
        run()
      })
      this.#timers.add(cancel)
    }
    arm()
  }

  async #stop(): Promise<void> {
    const { connection, context, closed } = this.#options
    await this.#line.pause()
    await this.#recovering
    for (const cancel of this.#timers) cancel()
    // Without a connection there is nobody to tell: the leases end by themselves.
    if (this.#connected) await Promise.race([this.#farewell(), sleep(context.env, closeMs)])
    await closeConnection(connection)
    closed(this)
  }

  async #farewell(): Promise<void> {
    const { connection, giveBack } = this.#options
    try {
      this.#passed(await this.#info())
      await this.#remember()
      // The subscription ends first, and what is on its way still arrives: given back earlier, it would come again to us.
      await connection.drain()
      // The client does not tell the address of an answer in its types, but always has it.
      giveBack(this.#takeAll().map(({ message }) => (message as JsMsg & { readonly reply: string }).reply))
    } catch {
      // The connection went meanwhile.
    }
  }
}
