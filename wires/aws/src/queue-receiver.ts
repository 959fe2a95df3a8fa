/**
 * Fetches messages of a queue, hands them on, and deletes them after the commit.
 *
 *     fetching --messages--> in hand --delivered--> deleted --> fetching
 *        |                     |  every third of the visibility: hidden for longer
 *        |                     +--refused--> visible again --> a pause --> fetching
 *        +--it fails--> lost --> a pause, and the queue looked up again --> fetching --> restored
 *
 * A fetch that came back full starts another poller, one that came back empty ends its poller unless it is the last.
 * Fetches of a FIFO queue never have messages of the same group in two hands: the queue locks a group while some of it
 * is in hand. When a message can not be deleted, because its time was up, it comes again and is dropped as a duplicate.
 */
import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  type Message,
} from '@aws-sdk/client-sqs'
import { sleep, type Deliver, type Receiver, type ReceiverHealth, type Subscription, type WireContext } from 'quadrille'
import { isMissing, messageOf, type AwsCalls } from './aws-calls.ts'
import type { AwsSettings } from './aws-options.ts'
import type { Queue, Topology } from './aws-topology.ts'
import { channelFinder } from './aws-names.ts'
import { decodeMessage } from './message-body.ts'
import { watchOf, type SubscriptionWatch } from './subscription-watch.ts'

const fetchMax = 10
const pauseMsMin = 100
const pauseMsMax = 5_000
/** A fetch that is under way at a stop ends by itself, or is frozen. */
const lateFetchMs = 1_000
/** Behind for longer without getting anything is a problem. */
const stalledMs = 60_000

/** What a receiver works with. */
export interface ReceiverParts {
  readonly calls: AwsCalls
  readonly topology: Topology
  readonly settings: AwsSettings
  readonly context: WireContext
  readonly subscription: Subscription
  readonly deliver: Deliver
  /** Looks up the queue again, and makes it where it is missing. */
  readonly find: () => Promise<Queue>
}

/** A running subscription. */
export class QueueReceiver implements Receiver {
  readonly #parts: ReceiverParts
  #queue: Queue
  readonly #stop = new AbortController()
  /** Ends fetches that do not end by themselves after a stop. */
  readonly #hangUp = new AbortController()
  readonly #pollers = new Set<Promise<void>>()
  /** Null where nothing is subscribed to. */
  readonly #watch: SubscriptionWatch | null
  #inHand = 0
  #lost: string | null = null
  #failures = 0
  #lastGotMs: number
  readonly #channel: ReturnType<typeof channelFinder>
  #stopped: Promise<void> | undefined

  constructor(parts: ReceiverParts, queue: Queue) {
    this.#parts = parts
    this.#channel = channelFinder(
      parts.settings,
      parts.subscription.types.map(({ type }) => type),
    )
    this.#queue = queue
    this.#lastGotMs = parts.context.env.elapsed()
    this.#watch = watchOf(parts)
    this.#start()
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#end()
    return this.#stopped
  }

  /**
   * Fetches are left to their end, and what they bring is given back: messages that AWS hands to a fetch that was broken
   * off would be hidden from everybody until their time is up.
   */
  async #end(): Promise<void> {
    const { context, settings } = this.#parts
    this.#stop.abort()
    const cancel = context.env.timer(settings.waitMs + lateFetchMs, () => this.#hangUp.abort())
    await Promise.all([...this.#pollers, this.#watch?.stop()])
    cancel()
  }

  async health(): Promise<ReceiverHealth> {
    const { topology, context } = this.#parts
    const problems = [...(this.#watch?.problems ?? [])]
    if (this.#lost !== null) problems.push(`the queue ${this.#queue.name} can not be fetched from: ${this.#lost}`)
    try {
      const { ready, all } = await topology.depth(this.#queue)
      const silentMs = context.env.elapsed() - this.#lastGotMs
      if (ready > 0 && this.#inHand === 0 && silentMs > stalledMs) {
        problems.push(
          `${ready} messages are ready in ${this.#queue.name}, and none came for ${Math.round(silentMs / 1000)} s`,
        )
      }
      return { lag: all, problems }
    } catch (error) {
      if (problems.length === 0) problems.push(`the queue ${this.#queue.name} can not be asked: ${messageOf(error)}`)
      return { lag: null, problems }
    }
  }

  #start(): void {
    const poller = this.#poll().finally(() => this.#pollers.delete(poller))
    this.#pollers.add(poller)
  }

  async #poll(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      let messages: Message[]
      try {
        messages = await this.#fetch()
      } catch (error) {
        if (!this.#stop.signal.aborted) await this.#recover(error)
        continue
      }
      this.#isBack()
      if (messages.length === 0) {
        if (this.#pollers.size > 1) return
        continue
      }
      this.#lastGotMs = this.#parts.context.env.elapsed()
      const { pollers } = this.#parts.settings
      if (this.#stop.signal.aborted) await this.#giveBack(messages)
      else {
        if (messages.length === fetchMax && this.#pollers.size < pollers) this.#start()
        await this.#handle(messages)
      }
    }
  }

  async #fetch(): Promise<Message[]> {
    const { calls, settings } = this.#parts
    const command = new ReceiveMessageCommand({
      QueueUrl: this.#queue.url,
      MaxNumberOfMessages: fetchMax,
      WaitTimeSeconds: Math.ceil(settings.waitMs / 1000),
      VisibilityTimeout: this.#visibilitySeconds,
      MessageAttributeNames: ['ce_type'],
    })
    const timeMs = settings.waitMs + settings.timeoutMs
    const send = (abortSignal: AbortSignal) => calls.sqs.send(command, { abortSignal })
    const answer = await calls.call(send, { stop: this.#hangUp.signal, timeMs })
    return answer.Messages ?? []
  }

  async #handle(messages: readonly Message[]): Promise<void> {
    const { deliver, context, subscription } = this.#parts
    this.#inHand += messages.length
    const letGo = this.#hold(messages)
    let failure: unknown
    try {
      await deliver(messages.map((message) => this.#channel(decodeMessage(rawOf(message)))))
    } catch (error) {
      failure = error ?? 'unknown'
    }
    letGo()
    this.#inHand -= messages.length
    this.#lastGotMs = context.env.elapsed()
    if (failure === undefined) {
      await this.#delete(messages)
      this.#failures = 0
      return
    }
    context.log.warn(
      { err: failure, service: subscription.service },
      'fetched events could not be stored; they come again',
    )
    await this.#giveBack(messages)
    await this.#pause()
  }

  /** Hides messages for longer, again and again, until the returned function is called. */
  #hold(messages: readonly Message[]): () => void {
    const { context, settings } = this.#parts
    const beatMs = settings.visibilityMs / 3
    let cancel = context.env.timer(beatMs, function beat(this: void): void {
      void renew()
      cancel = context.env.timer(beatMs, beat)
    })
    const renew = async () => {
      try {
        await this.#hide(messages, this.#visibilitySeconds)
      } catch (error) {
        context.log.warn({ err: error }, 'messages in hand could not be hidden for longer; they may come twice')
      }
    }
    return () => cancel()
  }

  async #giveBack(messages: readonly Message[]): Promise<void> {
    try {
      await this.#hide(messages, 0)
    } catch (error) {
      this.#parts.context.log.debug({ err: error }, 'messages could not be given back; they come when their time is up')
    }
  }

  async #hide(messages: readonly Message[], seconds: number): Promise<void> {
    const { calls } = this.#parts
    const Entries = entriesOf(messages).map((entry) => ({ ...entry, VisibilityTimeout: seconds }))
    const command = new ChangeMessageVisibilityBatchCommand({ QueueUrl: this.#queue.url, Entries })
    const answer = await calls.call((abortSignal) => calls.sqs.send(command, { abortSignal }))
    this.#tellFailed('hidden', answer.Failed)
  }

  async #delete(messages: readonly Message[]): Promise<void> {
    const { calls, context } = this.#parts
    try {
      const Entries = entriesOf(messages)
      const command = new DeleteMessageBatchCommand({ QueueUrl: this.#queue.url, Entries })
      const answer = await calls.call((abortSignal) => calls.sqs.send(command, { abortSignal }))
      this.#tellFailed('deleted', answer.Failed)
    } catch (error) {
      context.log.warn({ err: error }, 'messages that are stored could not be deleted; they come again as duplicates')
    }
  }

  /** Some of a batch: a receipt whose time was up, mostly. The message comes again; the ledger has it already, or not. */
  #tellFailed(what: string, failed: readonly { readonly Code?: string | undefined }[] = []): void {
    if (failed.length === 0) return
    const codes = [...new Set(failed.map(({ Code }) => Code))]
    this.#parts.context.log.debug({ count: failed.length, codes }, `some messages were not ${what}`)
  }

  async #recover(error: unknown): Promise<void> {
    const { context, subscription, topology, find } = this.#parts
    const { service } = subscription
    const why = messageOf(error)
    if (this.#lost === null) context.notice({ kind: 'lost', service, why })
    this.#lost = why
    await this.#pause()
    if (!isMissing(error) || this.#stop.signal.aborted) return
    try {
      topology.forget()
      this.#queue = await find()
    } catch (again) {
      this.#lost = messageOf(again)
    }
  }

  #isBack(): void {
    if (this.#lost === null) return
    const { context, subscription } = this.#parts
    this.#lost = null
    this.#failures = 0
    context.notice({ kind: 'restored', service: subscription.service, why: 'the queue can be fetched from again' })
  }

  async #pause(): Promise<void> {
    const { env } = this.#parts.context
    this.#failures += 1
    const mostMs = Math.min(pauseMsMax, pauseMsMin * 2 ** Math.min(this.#failures, 10))
    await sleep(env, mostMs * (0.5 + env.random() / 2), this.#stop.signal)
  }

  get #visibilitySeconds(): number {
    return Math.ceil(this.#parts.settings.visibilityMs / 1000)
  }
}

const rawOf = ({ Body = '', MessageAttributes }: Message) => ({
  body: Body,
  type: MessageAttributes?.['ce_type']?.StringValue,
})

const entriesOf = (messages: readonly Message[]) =>
  messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle: ReceiptHandle! }))
