/**
 * Receives sessions of a subscription, several at a time, each by one process.
 *
 *     accepting --a session--> receiving --messages--> in line --delivered, still locked--> completed --> receiving
 *        |                        |                      |  half of what is left of the lock: renewed
 *        |                        |                      +--refused--> a pause --> in line (the same again)
 *        |                        +--idle, held long enough, lock lost, stop--> given back --> accepting
 *        +--none is free--> accepting
 *        +--it fails--> lost --> a pause, and what is missing made again --> accepting --> restored
 *
 * A lock that could not be renewed in time is lost: what was in hand is not completed, and comes again, here or elsewhere;
 * the ledger drops what it has. Messages are not put back one by one, so that Service Bus counts no attempts.
 *
 * Messages come as a stream, with credit for so many at a time. Fetching batches would drain the credit whenever fewer
 * came: a second or more for each event of a quiet session, and on a connection that was frozen a promise of the SDK
 * that rejects where nobody can handle it (docs/decisions/11-service-bus-sessions.md).
 */
import type {
  MessageHandlers,
  ServiceBusClient,
  ServiceBusReceivedMessage,
  ServiceBusSessionReceiver,
} from '@azure/service-bus'
import { isServiceBusError } from '@azure/service-bus'
import {
  DeliveryLine,
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
import { forgetSettling, tokenRequest } from './late-links.ts'
import { decodeMessage } from './service-bus-message.ts'

/** What a receiver has in hand at most, shared out among its sessions. */
const inHandMax = 1_600
const creditMax = 100
/** How many accepts wait at a time; each is a request that is paid for, also when nothing comes. */
const acceptsMax = 4
/** An accept that is not answered so long after its time is given up: its connection is frozen. */
const lateMs = 1_000
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

/** A message, and how to let the next one come. */
interface Held {
  readonly message: ServiceBusReceivedMessage
  readonly done: () => void
}

/** A locked session. */
interface Turn {
  readonly session: ServiceBusSessionReceiver
  readonly untilMs: number
  lastMs: number
  /** The lock may be somebody else's: nothing is delivered or completed any more. */
  lost: boolean
  /** Ends the turn, for a reason or for none. The first one counts. */
  readonly end: (error?: unknown) => void
  readonly ended: Promise<unknown>
}

/** A running subscription. */
export class SessionReceiver implements Receiver {
  readonly #parts: SessionReceiverParts
  readonly #name: string
  readonly #types: ReadonlySet<string>
  readonly #credit: number
  readonly #stop = new AbortController()
  readonly #whenStopped: Promise<null>
  readonly #running = new Set<Promise<void>>()
  readonly #lines = new Set<DeliveryLine<Held>>()
  #accepting = 0
  #failures = 0
  #lost: string | null = null
  #lastGotMs: number

  constructor(parts: SessionReceiverParts, name: string) {
    this.#parts = parts
    this.#name = name
    this.#types = new Set(parts.subscription.types.map(({ type }) => type))
    this.#credit = Math.max(1, Math.min(creditMax, Math.floor(inHandMax / parts.settings.receivers)))
    this.#lastGotMs = parts.context.env.elapsed()
    this.#whenStopped = new Promise((resolve) => {
      this.#stop.signal.addEventListener('abort', () => resolve(null), { once: true })
    })
    this.#fill()
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#running)
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

  get #inHand(): number {
    return [...this.#lines].reduce((sum, { size }) => sum + size, 0)
  }

  /** Some wait for sessions, as long as there is room for more. */
  #fill(): void {
    const { receivers } = this.#parts.settings
    while (!this.#stop.signal.aborted && this.#accepting < acceptsMax && this.#running.size < receivers) {
      this.#accepting += 1
      const running: Promise<void> = this.#run().finally(() => {
        this.#running.delete(running)
        this.#fill()
      })
      this.#running.add(running)
    }
  }

  async #run(): Promise<void> {
    let session: ServiceBusSessionReceiver
    try {
      session = await this.#accept()
    } catch (error) {
      if (!this.#stop.signal.aborted) await this.#noSession(error)
      return
    } finally {
      this.#accepting -= 1
    }
    this.#isBack()
    this.#fill()
    await this.#serve(session)
  }

  /** A session; rejects at a stop. One that comes after that is given back at once. */
  async #accept(): Promise<ServiceBusSessionReceiver> {
    const { client, settings } = this.#parts
    const request = tokenRequest()
    const accepting = client.acceptNextSession(settings.topic, this.#name, {
      abortSignal: request.signal,
      // The lock is renewed here, where its loss is noticed.
      maxAutoLockRenewalDurationInMs: 0,
      skipParsingBodyAsJson: true,
    })
    const session = await this.#soon(Promise.race([accepting, this.#whenStopped]), settings.timeoutMs + lateMs)
    if (session) return session
    request.giveUp()
    accepting.then((late) => late.close()).catch(() => {})
    const problem = session === null ? 'the receiver is stopping' : 'the connection does not answer'
    throw new QuadrilleError('WIRE_CANNOT', { wire: settings.name, problem })
  }

  async #serve(session: ServiceBusSessionReceiver): Promise<void> {
    const { env } = this.#parts.context
    const { promise: ended, resolve: end } = Promise.withResolvers<unknown>()
    const turn: Turn = { session, untilMs: env.elapsed() + turnMs, lastMs: env.elapsed(), lost: false, end, ended }
    const line = this.#lineOf(turn)
    const letGo = this.#hold(turn)
    this.#lines.add(line)
    const handlers: MessageHandlers = {
      processMessage: (message) =>
        new Promise((done) => {
          turn.lastMs = env.elapsed()
          this.#lastGotMs = turn.lastMs
          line.push({ message, done })
        }),
      processError: async ({ error }) => end(error),
    }
    try {
      session.subscribe(handlers, { maxConcurrentCalls: this.#credit, autoCompleteMessages: false })
    } catch (error) {
      // It was over before we came to it.
      end(error)
    }
    const unwatch = this.#watch(turn, line)
    const error = await Promise.race([ended, this.#whenStopped])
    unwatch()
    if (isLockLost(error)) turn.lost = true
    await line.pause()
    this.#lines.delete(line)
    this.#lastGotMs = env.elapsed()
    letGo()
    await this.#soon(session.close().catch(() => {}))
    forgetSettling(session)
    if (error && !turn.lost && !this.#stop.signal.aborted) await this.#recover(error)
  }

  /** Ends a turn that has nothing to do, or has lasted long enough; not one that the ledger refuses: it would count as tried. */
  #watch(turn: Turn, line: DeliveryLine<Held>): () => void {
    const { env } = this.#parts.context
    let cancel = () => {}
    const look = () => {
      const idle = line.size === 0 && env.elapsed() - turn.lastMs >= idleMs
      const over = env.elapsed() >= turn.untilMs && line.problems().length === 0
      if (idle || over) turn.end()
      else cancel = env.timer(idleMs / 4, look)
    }
    look()
    return () => cancel()
  }

  #lineOf(turn: Turn): DeliveryLine<Held> {
    const { context, subscription, deliver } = this.#parts
    return new DeliveryLine<Held>({
      env: context.env,
      log: context.log,
      service: subscription.service,
      deliver,
      batchMax: creditMax,
      message: ({ message }) => decodeMessage(message, this.#types),
      owned: () => this.#isLocked(turn),
      acknowledge: (held) => this.#complete(turn, held),
    })
  }

  /** Whether there is time to settle. Once there was not, there is none for the whole turn: later messages must not pass. */
  #isLocked(turn: Turn): boolean {
    if (!turn.lost && leftMs(turn, this.#parts.context) < marginMs) turn.lost = true
    if (turn.lost) turn.end()
    return !turn.lost
  }

  async #complete(turn: Turn, held: readonly Held[]): Promise<void> {
    this.#failures = 0
    const completed = held.map(({ message }) => turn.session.completeMessage(message))
    const results = await this.#soon(Promise.allSettled(completed))
    if (results?.every(({ status }) => status === 'fulfilled')) {
      for (const { done } of held) done()
      return
    }
    this.#parts.context.log.debug({}, 'some messages that are stored were not completed; they come again')
    turn.lost = true
    turn.end()
  }

  /** What the SDK answers within the time of an operation, which it does not always keep itself when a connection is lost. */
  async #soon<T>(answer: Promise<T>, withinMs = this.#parts.settings.timeoutMs): Promise<T | undefined> {
    const { env } = this.#parts.context
    const given = new AbortController()
    const late = sleep(env, withinMs, given.signal).then(() => undefined)
    return Promise.race([answer, late]).finally(() => given.abort())
  }

  /** Renews the lock whenever half of what is left of it is over, until the returned function is called. */
  #hold(turn: Turn): () => void {
    const { context, settings } = this.#parts
    let ended = false
    let cancel = () => {}
    const arm = () => {
      const waitMs = Math.min(leftMs(turn, context), settings.lockMs) / 2
      cancel = context.env.timer(Math.max(waitMs, 100), () => void renew())
    }
    const renew = async () => {
      try {
        await turn.session.renewSessionLock()
      } catch (error) {
        if (isLockLost(error) || leftMs(turn, context) < marginMs) {
          turn.lost = true
          turn.end()
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

const leftMs = ({ session }: Turn, { env }: WireContext): number => session.sessionLockedUntilUtc.getTime() - env.now()

const isLockLost = (error: unknown): boolean =>
  isServiceBusError(error) && (error.code === 'SessionLockLost' || error.code === 'MessageLockLost')
