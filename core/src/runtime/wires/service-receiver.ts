/**
 * Receives for one service over one wire.
 *
 *     waiting     --wire open, and elected where only one may--> subscribing
 *     subscribing --subscription exists--> receiving
 *                 --error--> pause (doubling), subscribing; an error that no retry can mend fails the start of the app
 *     receiving   --no longer elected, or nothing arrives although it should--> the receiver is stopped --> waiting
 *                 --another version of the service wants more--> the receiver is stopped --> subscribing
 *     stop: the delivery in hand ends; then the election is left
 */
import { doubledMs, isQuadrilleError, messageOf, QuadrilleError, sleep } from '../../base/index.ts'
import type { AnyService } from '../../service/index.ts'
import type { IncomingMessage, Receiver, ReceiverHealth, SubscribedType } from '../../wire/index.ts'
import type { Publishing } from '../publishing.ts'
import { electing, Election } from './election.ts'
import { answerMs, OtherVersions } from './other-versions.ts'
import type { RelayContext } from './relay.ts'
import type { WireReport } from './wire-report.ts'

/** What it works with. */
export interface ReceiverContext extends Omit<RelayContext, 'start'> {
  readonly service: AnyService
  readonly types: readonly SubscribedType[]
  readonly publishing: Publishing
}

/** How often the one that is elected looks whether another version of the service wants more. */
const othersMs = 5_000
/** How long a start waits for it. */
const subscribedWithinMs = 15_000
const subscribedPollMs = 100
const pauseMs = { min: 100, max: 10_000 }
/** How often it is looked at whether what should arrive arrives. */
const watchMs = 15_000
const knownMax = 10_000
/** What is remembered of a type: that a process wants it, or that there was a subscription to it. */
type TypeMark = 'wanted' | 'subscribed'
const mark = { partition: -1, lane: null, seq: 0, due: null, expires: null, body: '{}' }
/** Past every position: a reader that reads nothing must not hold back retention. */
const pastAll = Number.MAX_SAFE_INTEGER

/** Runs until stopped. */
export class ServiceReceiver {
  readonly service: string
  readonly #context: ReceiverContext
  readonly #election: Election | null
  readonly #others: OtherVersions
  readonly #stopping = new AbortController()
  /** Aborted when the present receiver must end. */
  #ending = new AbortController()
  #elected: boolean
  #wake = () => {}
  #loop: Promise<void> = Promise.resolve()
  #receiver: Receiver | undefined
  #problem: string | null = null
  #delivered = 0

  constructor(context: ReceiverContext) {
    this.#context = context
    this.service = context.service.name
    const { wire, settings, ledger, tell, tools, types } = context
    const own = new Set(types.map(({ type }) => type))
    const wanted = () => this.#read('wanted')
    this.#others = new OtherVersions({ ledger, settings, service: this.service, wanted, own })
    const isOne = wire.wire.capabilities.order === 'one-receiver'
    this.#elected = !isOne
    const plan = { reader: `~receive/${wire.name}/${this.service}`, start: pastAll }
    this.#election = isOne
      ? new Election({ settings, ledger, tell, tools, plan }, (elected) => {
          this.#elected = elected
          if (!elected) this.#ending.abort()
          this.#wake()
        })
      : null
  }

  /** Resolves when it receives, waits for its election, or for a broker that can not be reached. @throws what no retry can mend. */
  async start(): Promise<void> {
    await this.#write('wanted', await this.#read('wanted'))
    await this.#election?.start()
    const first = Promise.withResolvers<void>()
    this.#loop = this.#run(first)
    await first.promise
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#ending.abort()
    this.#wake()
    await this.#loop
    const { tools, wire } = this.#context
    await this.#election
      ?.stop()
      .catch((error: unknown) => tools.log.warn({ err: error, wire: wire.name }, 'a lease could not be given back'))
  }

  async report(): Promise<WireReport['receiving'][number] & { readonly problems: readonly string[] }> {
    const health = await this.#health()
    const state = this.#receiver ? 'receiving' : this.#elected ? 'connecting' : 'elsewhere'
    const problems = [...(health?.problems ?? []), ...(this.#problem === null ? [] : [this.#problem])]
    return { service: this.service, lag: health?.lag ?? null, state, problems }
  }

  async #health(): Promise<ReceiverHealth | undefined> {
    try {
      return await this.#receiver?.health()
    } catch (error) {
      return { lag: null, problems: [`its health can not be asked: ${messageOf(error)}`] }
    }
  }

  async #run(first: { resolve: () => void; reject: (error: unknown) => void }): Promise<void> {
    const { opened, settings } = this.#context
    // Who waits for a broker that is away must not keep the app from starting.
    const isOpen = await Promise.race([opened.then(() => true), settings.env.breathe().then(() => false)])
    if (!isOpen) first.resolve()
    await Promise.race([opened, aborted(this.#stopping.signal)])
    for (let errors = 0; !this.#stopping.signal.aborted;) {
      if (!this.#elected) {
        await this.#untilSubscribed()
        first.resolve()
        if (!this.#elected) await this.#change()
        continue
      }
      this.#ending = new AbortController()
      try {
        const known = await this.#read('subscribed')
        const others = await this.#others.wanted()
        this.#receiver = await this.#subscribe(known, others)
        const grew = await this.#write('subscribed', known, others)
        if (grew) this.#tellStart(known)
        // Processes of an older version ask only now and then what is wanted besides.
        if (grew && known.length > 0) await sleep(settings.env, answerMs, this.#stopping.signal)
        errors = 0
        this.#problem = null
        first.resolve()
        await this.#watch(this.#receiver, others)
      } catch (error) {
        if (errors === 0 && isQuadrilleError(error) && !error.retryable) first.reject(error)
        else first.resolve()
        errors += 1
        await this.#failed(error, errors)
      } finally {
        await this.#end()
      }
    }
    first.resolve()
  }

  /**
   * Somebody else receives, perhaps a process of an older version, which has still to learn what is wanted here. Resolves when the
   * ledger says that there is a subscription to all of it, or when that takes too long.
   */
  async #untilSubscribed(): Promise<void> {
    const { types, settings, tools, wire } = this.#context
    const endsAt = settings.env.elapsed() + subscribedWithinMs
    for (;;) {
      // A ledger that can not be asked now is asked again.
      const subscribed = new Set(await this.#read('subscribed').catch(() => []))
      const missing = types.filter(({ type }) => !subscribed.has(type)).map(({ type }) => type)
      if (missing.length === 0 || this.#elected || this.#stopping.signal.aborted) return
      if (settings.env.elapsed() > endsAt) {
        const facts = { wire: wire.name, service: this.service, types: missing }
        return tools.log.warn(facts, 'the process that receives for this service does not receive these types yet')
      }
      await sleep(settings.env, subscribedPollMs, this.#stopping.signal)
    }
  }

  /** The types that its processes want, or have subscribed to before, as the ledger remembers them: a broker may forget. */
  async #read(kind: TypeMark): Promise<readonly string[]> {
    const records = await this.#context.ledger.query({ ...this.#marksOf(kind), limit: knownMax })
    return records.map(({ id }) => id)
  }

  /** Returns whether it has become more. */
  async #write(kind: TypeMark, known: readonly string[], others: Iterable<string> = []): Promise<boolean> {
    const all = [...this.#context.types.map(({ type }) => type), ...others]
    const puts = all.filter((type) => !known.includes(type)).map((id) => ({ ...this.#marksOf(kind), id, ...mark }))
    if (puts.length > 0) await this.#context.ledger.transact((tx) => tx.save(puts))
    return puts.length > 0
  }

  /** Somebody whose service is new may expect what was sent before it. */
  #tellStart(known: readonly string[]): void {
    const { wire, types, tools } = this.#context
    const fresh = types.map(({ type }) => type).filter((type) => !known.includes(type))
    if (!wire.onlyFromNow || fresh.length === 0) return
    tools.log.info(
      { wire: wire.name, service: this.service, types: fresh },
      'the service is new to these types: what was sent before it subscribed does not come, the wire keeps none of it',
    )
  }

  #marksOf(kind: TypeMark) {
    return { scope: `~receive/${this.#context.wire.name}/${this.service}`, kind }
  }

  #subscribe(known: readonly string[], others: ReadonlySet<string>): Promise<Receiver> {
    const { wire, types, settings } = this.#context
    const subscription = {
      service: this.service,
      types: [...types, ...[...others].map((type) => ({ type, patterns: null }))],
      alsoWanted: this.#others.wanted,
      from: wire.receiveFrom,
      instance: settings.instance,
      known,
      ...(wire.lost ? { lost: wire.lost } : {}),
    }
    return wire.wire.receive(subscription, (messages) => this.#deliver(messages))
  }

  async #deliver(messages: readonly IncomingMessage[]): Promise<void> {
    const { publishing, wire, tell } = this.#context
    const claim = this.#election?.claim
    // Somebody else receives now, and could be behind what this would append.
    if (this.#election && claim === undefined)
      throw new QuadrilleError('LEASE_LOST', { reader: this.#election.reader, partitions: [electing] })
    const taken = await publishing.take(messages, { wire: wire.name, claim, others: this.#others.wanted })
    this.#delivered += messages.length
    tell.tell('received', { wire: wire.name, service: this.service, ...taken })
  }

  async #failed(error: unknown, errors: number): Promise<void> {
    const { settings, tools, wire } = this.#context
    this.#problem = `${this.service} can not receive: ${messageOf(error)}`
    tools.log.warn({ err: error, wire: wire.name, service: this.service }, 'receiving failed; it is tried again')
    await sleep(settings.env, settings.env.random() * doubledMs(pauseMs, errors), this.#stopping.signal)
  }

  /** Resolves when the receiver must end: nobody waits for ever for one that looks alive and gets nothing. */
  async #watch(receiver: Receiver, others: ReadonlySet<string>): Promise<void> {
    let suspect = false
    while (!this.#ending.signal.aborted) {
      const before = this.#delivered
      await this.#while(others)
      if (this.#ending.signal.aborted) return
      const { problems, lag } = (await this.#health()) ?? { problems: [], lag: null }
      const isBad = problems.length > 0 && this.#delivered === before && lag !== 0
      if (isBad && suspect) {
        const { tools, wire } = this.#context
        tools.log.warn(
          { wire: wire.name, service: this.service, problems },
          'nothing arrives: the subscription is renewed',
        )
        return
      }
      suspect = isBad && receiver === this.#receiver
    }
  }

  /** Resolves when it is time to look at the receiver; ends it when more is wanted than it receives. */
  async #while(others: ReadonlySet<string>): Promise<void> {
    const { env } = this.#context.settings
    // Where all processes receive, the new one has widened the subscription itself.
    if (this.#election === null) return sleep(env, watchMs, this.#ending.signal)
    for (let waitedMs = 0; waitedMs < watchMs && !this.#ending.signal.aborted; waitedMs += othersMs) {
      await sleep(env, othersMs, this.#ending.signal)
      const wanted = await this.#others.wanted()
      if ([...wanted].some((type) => !others.has(type))) this.#ending.abort()
    }
  }

  async #end(): Promise<void> {
    const receiver = this.#receiver
    this.#receiver = undefined
    try {
      await receiver?.stop()
    } catch (error) {
      this.#context.tools.log.warn({ err: error, service: this.service }, 'a receiver could not be stopped in order')
    }
  }

  #change(): Promise<void> {
    if (this.#stopping.signal.aborted) return Promise.resolve()
    return new Promise((resolve) => (this.#wake = resolve))
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
