/**
 * Receives sessions of a subscription, several at a time, each by one process.
 *
 *     accepting --a session--> receiving --messages--> in hand --delivered, still locked--> completed --> receiving
 *        |                        |                      |  half of what is left of the lock: renewed
 *        |                        |                      +--refused--> a pause --> in hand (the same again)
 *        |                        +--idle, held long enough, lock lost, stop--> given back --> accepting
 *        +--none is free--> accepting
 *        +--it fails--> lost --> a pause, and what is missing made again --> accepting --> restored
 *
 * A lock that could not be renewed in time is lost: what was in hand is not completed, and comes again, here or elsewhere;
 * the ledger drops what it has. Messages are not put back one by one, so that Service Bus counts no attempts.
 */
import type { ServiceBusClient, ServiceBusReceivedMessage, ServiceBusSessionReceiver } from '@azure/service-bus'
import { isServiceBusError } from '@azure/service-bus'
import {
  QuadrilleError,
  sleep,
  type Deliver,
  type Receiver,
  type ReceiverHealth,
  type Subscription,
  type WireContext,
} from 'quadrille'
import type { AzureSettings } from './azure-options.ts'
import type { Topology } from './azure-topology.ts'
import { decodeMessage } from './service-bus-message.ts'

const receiveMax = 100
/** A session without messages for so long is given back. */
const idleMs = 1_000
/** A session is given back after so long, so that others get their turn. */
const turnMs = 10_000
/** Nothing is settled when less than this is left of the lock. */
const marginMs = 1_000
const pauseMsMin = 100
const pauseMsMax = 5_000

/** What a receiver works with. */
export interface SessionReceiverParts {
  readonly client: ServiceBusClient
  readonly topology: Topology
  readonly settings: AzureSettings
  readonly context: WireContext
  readonly subscription: Subscription
  readonly deliver: Deliver
  /** Looks up the subscription again, and makes it where it is missing; returns its name. */
  readonly find: () => Promise<string>
}

/** A locked session. */
interface Turn {
  readonly session: ServiceBusSessionReceiver
  readonly untilMs: number
  lost: boolean
}

/** A running subscription. */
export class SessionReceiver implements Receiver {
  readonly #parts: SessionReceiverParts
  readonly #name: string
  readonly #types: ReadonlySet<string>
  readonly #stop = new AbortController()
  readonly #whenStopped: Promise<null>
  readonly #slots: Promise<void>[]
  #inHand = 0
  #failures = 0
  #lost: string | null = null
  #lastGotMs: number
  #stopped: Promise<void> | undefined

  constructor(parts: SessionReceiverParts, name: string) {
    this.#parts = parts
    this.#name = name
    this.#types = new Set(parts.subscription.types.map(({ type }) => type))
    this.#lastGotMs = parts.context.env.elapsed()
    this.#whenStopped = new Promise((resolve) => {
      this.#stop.signal.addEventListener('abort', () => resolve(null), { once: true })
    })
    this.#slots = Array.from({ length: parts.settings.receivers }, () => this.#run())
  }

  stop(): Promise<void> {
    this.#stop.abort()
    this.#stopped ??= Promise.all(this.#slots).then(() => {})
    return this.#stopped
  }

  async health(): Promise<ReceiverHealth> {
    const { topology, context, settings } = this.#parts
    const problems = this.#lost === null ? [] : [`${this.#name} can not be received from: ${this.#lost}`]
    try {
      const { active, dead } = await topology.depth(this.#name)
      if (dead > 0) problems.push(`Service Bus has put ${dead} messages of ${this.#name} into its dead-letter queue`)
      const silentMs = context.env.elapsed() - this.#lastGotMs
      if (active > 0 && this.#inHand === 0 && silentMs > settings.stalledMs) {
        problems.push(`${active} messages wait in ${this.#name}, and none came for ${Math.round(silentMs / 1000)} s`)
      }
      return { lag: active, problems }
    } catch {
      // Counting needs the right to manage, which receiving does not.
      return { lag: null, problems }
    }
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      let session: ServiceBusSessionReceiver
      try {
        session = await this.#accept()
      } catch (error) {
        if (!this.#stop.signal.aborted) await this.#noSession(error)
        continue
      }
      this.#isBack()
      await this.#serve(session)
    }
  }

  /** A session; rejects at a stop. One that comes after that is given back at once. */
  async #accept(): Promise<ServiceBusSessionReceiver> {
    const { client, settings } = this.#parts
    const accepting = client.acceptNextSession(settings.topic, this.#name, {
      // The lock is renewed here, where its loss is noticed.
      maxAutoLockRenewalDurationInMs: 0,
      skipParsingBodyAsJson: true,
    })
    const session = await Promise.race([accepting, this.#whenStopped])
    if (session) return session
    accepting
      .then(
        (late) => late.close(),
        () => {},
      )
      .catch(() => {})
    throw new QuadrilleError('WIRE_CANNOT', { wire: settings.name, problem: 'the receiver is stopping' })
  }

  async #serve(session: ServiceBusSessionReceiver): Promise<void> {
    const { env } = this.#parts.context
    const turn: Turn = { session, untilMs: env.elapsed() + turnMs, lost: false }
    const letGo = this.#hold(turn)
    try {
      while (!this.#stop.signal.aborted && !turn.lost && env.elapsed() < turn.untilMs) {
        const messages = await session.receiveMessages(receiveMax, {
          maxWaitTimeInMs: idleMs,
          abortSignal: this.#stop.signal,
        })
        if (messages.length === 0) break
        this.#lastGotMs = env.elapsed()
        this.#inHand += messages.length
        try {
          if (!(await this.#handle(turn, messages))) break
        } finally {
          this.#inHand -= messages.length
          this.#lastGotMs = env.elapsed()
        }
      }
    } catch (error) {
      if (!this.#stop.signal.aborted && !isLockLost(error)) await this.#recover(error)
    } finally {
      letGo()
      await this.#soon(session.close().catch(() => {}))
    }
  }

  /** Delivers until the ledger has them, and completes them. False when the session must be given back instead. */
  async #handle(turn: Turn, messages: readonly ServiceBusReceivedMessage[]): Promise<boolean> {
    const { deliver, context, subscription } = this.#parts
    const decoded = messages.map((message) => decodeMessage(message, this.#types))
    for (;;) {
      try {
        await deliver(decoded)
        break
      } catch (error) {
        context.log.warn({ err: error, service: subscription.service }, 'received events could not be stored; again')
        await this.#pause()
        if (this.#stop.signal.aborted || turn.lost) return false
      }
    }
    this.#failures = 0
    const leftMs = turn.session.sessionLockedUntilUtc.getTime() - context.env.now()
    if (turn.lost || leftMs < marginMs) return false
    const completed = messages.map((message) => turn.session.completeMessage(message))
    const results = await this.#soon(Promise.allSettled(completed))
    if (results?.every(({ status }) => status === 'fulfilled')) return true
    context.log.debug({}, 'some messages that are stored were not completed; they come again')
    return false
  }

  /** What the SDK answers within the time of an operation, which it does not always keep itself when a connection is lost. */
  async #soon<T>(answer: Promise<T>): Promise<T | undefined> {
    const { env } = this.#parts.context
    const given = new AbortController()
    const late = sleep(env, this.#parts.settings.timeoutMs, given.signal).then(() => undefined)
    return Promise.race([answer, late]).finally(() => given.abort())
  }

  /** Renews the lock whenever half of what is left of it is over, until the returned function is called. */
  #hold(turn: Turn): () => void {
    const { context, settings } = this.#parts
    let ended = false
    let cancel = () => {}
    const arm = () => {
      const leftMs = Math.min(turn.session.sessionLockedUntilUtc.getTime() - context.env.now(), settings.lockMs)
      cancel = context.env.timer(Math.max(leftMs / 2, 100), () => void renew())
    }
    const renew = async () => {
      try {
        await turn.session.renewSessionLock()
      } catch (error) {
        const leftMs = turn.session.sessionLockedUntilUtc.getTime() - context.env.now()
        if (isLockLost(error) || leftMs < marginMs) {
          turn.lost = true
          context.log.warn({ err: error }, 'the lock of a session was lost; what was in hand comes again')
          return
        }
      }
      if (!ended) arm()
    }
    arm()
    return () => {
      ended = true
      cancel()
    }
  }

  async #noSession(error: unknown): Promise<void> {
    // Nobody has sent anything, or others have all of the sessions.
    if (isServiceBusError(error) && error.code === 'ServiceTimeout') return this.#isBack()
    // Which is also what the SDK says when the subscription has vanished.
    const unclear = isServiceBusError(error) && error.code === 'SessionCannotBeLocked'
    if (unclear && (await this.#parts.topology.has(this.#name))) return this.#pause()
    await this.#recover(error, unclear)
  }

  async #recover(error: unknown, missing = false): Promise<void> {
    const { context, subscription, find } = this.#parts
    const why = error instanceof Error ? error.message || error.name : String(error)
    if (this.#lost === null) context.notice({ kind: 'lost', service: subscription.service, why })
    this.#lost = why
    await this.#pause()
    if (this.#stop.signal.aborted) return
    if (!missing && !(isServiceBusError(error) && error.code === 'MessagingEntityNotFound')) return
    await find().catch((again: unknown) => {
      this.#lost = String(again)
    })
  }

  #isBack(): void {
    if (this.#lost === null) return
    const { context, subscription } = this.#parts
    this.#lost = null
    this.#failures = 0
    context.notice({ kind: 'restored', service: subscription.service, why: 'sessions can be accepted again' })
  }

  async #pause(): Promise<void> {
    const { env } = this.#parts.context
    this.#failures += 1
    const mostMs = Math.min(pauseMsMax, pauseMsMin * 2 ** Math.min(this.#failures, 10))
    await sleep(env, mostMs * (0.5 + env.random() / 2), this.#stop.signal)
  }
}

const isLockLost = (error: unknown): boolean =>
  isServiceBusError(error) && (error.code === 'SessionLockLost' || error.code === 'MessageLockLost')
