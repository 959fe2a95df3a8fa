/** Events that come from outside a reaction: transact(), publish() and receive(). */
import { isQuadrilleError, QuadrilleError, sleep, type TxHandle } from '../base/index.ts'
import type { NewEvent } from '../contracts/index.ts'
import type { Claim, Ledger, LedgerRecord, LedgerTx } from '../ledger/index.ts'
import type { Returned, Service } from '../service/index.ts'
import type { App, PublishOptions, Token, TransactContext } from './app.ts'
import { appendedOf, noPositions } from './appending.ts'
import { emittedList, newEvents } from './emit.ts'
import type { ContextTools } from './handler-context.ts'
import { Gathering, type Appended, type Gathered } from './gathering.ts'
import { asTransaction, refuseNested } from './nesting.ts'
import type { Settings } from './settings.ts'
import type { Telling } from './telling.ts'
import type { IncomingMessage } from '../wire/index.ts'
import { Intake } from './wires/intake.ts'

/** The CloudEvents source of events that no service has emitted. */
const outside = 'outside'

const collisionsMax = 20
const collisionPauseMs = 20

/** What publishing needs. */
export interface PublishingContext {
  readonly settings: Settings
  readonly ledger: Ledger
  readonly tell: Telling
  readonly tools: ContextTools
}

/** The three ways in. */
export class Publishing implements Pick<App, 'transact' | 'publish' | 'receive'> {
  readonly #context: PublishingContext
  readonly intake: Intake
  readonly #gathering: Gathering
  #stopped = false
  #open = 0
  #whenNone: (() => void) | undefined

  constructor(context: PublishingContext) {
    this.#context = context
    this.intake = new Intake(context.settings)
    this.#gathering = new Gathering(context.ledger, context.settings.env)
  }

  /** True when no transaction from outside is under way. */
  get isIdle(): boolean {
    return this.#open === 0
  }

  async transact<Db>(
    service: Service<Db>,
    work: (context: TransactContext<Db>) => Returned | Promise<Returned>,
    options: PublishOptions = {},
  ): Promise<Token> {
    this.#check('transact()', service)
    const emitter = { ...emitterOf(options), where: `transact() of ${service.name}`, source: service.name }
    const make = async (handle: () => TxHandle) => {
      const { now, random, uuid } = this.#context.tools
      let db: { readonly opened: unknown } | undefined
      const context = {
        get db() {
          db ??= { opened: service.db?.open(handle()) }
          return db.opened as Db
        },
        now,
        random,
        uuid,
      }
      const returned = await work(context)
      return newEvents(emittedList(returned, emitter.where), emitter, this.#context.settings)
    }
    return this.#append({ what: emitter.where, owner: service.name, make })
  }

  async publish(...[events, options = {}]: Parameters<App['publish']>): Promise<Token> {
    this.#check('publish()')
    const emitter = { ...emitterOf(options), where: 'publish()', source: outside }
    const made = newEvents(emittedList(events, 'publish()'), emitter, this.#context.settings)
    return this.#append({ what: 'publish()', owner: '', make: async () => made })
  }

  async receive(messages: readonly Uint8Array[]): ReturnType<App['receive']> {
    return this.take(messages.map((body) => ({ attributes: null, body })))
  }

  /**
   * Takes what came from outside: appended, dropped as a duplicate, or a dead letter. Durable on return.
   *
   * @param from - The wire, and the proof that this process is the one that receives, where only one may; null for `app.receive()`.
   */
  async take(
    messages: readonly IncomingMessage[],
    from: { readonly wire: string; readonly claim?: Claim | undefined } | null = null,
  ): ReturnType<App['receive']> {
    this.#check('receive()')
    const { ledger, tell } = this.#context
    const { good, dead } = this.intake.sort(messages, from?.wire ?? null)
    const { positions } = await this.#retried(() =>
      ledger.transact(async (tx) => {
        if (from?.claim) await tx.hold(from.claim)
        if (dead.length > 0) await tx.save(dead)
        return { positions: good.length > 0 ? tx.appendLast(good) : noPositions }
      }),
    )
    const appended = appendedOf(good, positions())
    const duplicates = good.length - appended.length
    if (good.length > 0) tell.tell('appended', { events: appended, duplicates, origin: null })
    return { appended: appended.length, duplicates, dead: dead.length }
  }

  /** A transaction of the app itself. @throws QuadrilleError `APP_STOPPED` or `NESTED_TRANSACTION`, and what `work` throws. */
  async transaction<T>(operation: string, work: (tx: LedgerTx) => Promise<T>): Promise<T> {
    this.#check(operation)
    return this.#retried(() => this.#context.ledger.transact((tx) => asTransaction(operation, () => work(tx))))
  }

  /** Takes a message that could not be read before; returns false when it has been taken, or removed, meanwhile. */
  async receiveAgain(events: readonly NewEvent[], letter: LedgerRecord): Promise<boolean> {
    const taken = await this.transaction('a redrive', async (tx) => {
      if ((await tx.load([letter]))[0] === undefined) return undefined
      await tx.save([], [letter])
      return { positions: events.length > 0 ? tx.appendLast(events) : noPositions }
    })
    if (taken === undefined) return false
    const appended = appendedOf(events, taken.positions())
    const duplicates = events.length - appended.length
    this.#context.tell.tell('appended', { events: appended, duplicates, origin: null })
    return true
  }

  /** Refuses everything new, and waits for what is under way. */
  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#open > 0) await new Promise<void>((resolve) => (this.#whenNone = resolve))
  }

  #check(operation: string, service?: { readonly name: string }): void {
    if (this.#stopped) throw new QuadrilleError('APP_STOPPED', { operation })
    refuseNested(operation)
    const known = this.#context.settings.services.map(({ name }) => name)
    if (service && !known.includes(service.name))
      throw new QuadrilleError('SERVICE_UNKNOWN', { service: service.name, known })
  }

  async #append(one: Gathered): Promise<Token> {
    const { tell } = this.#context
    const { events, positions } = await this.#busy(() => this.#together(one) ?? this.#alone(one))
    const appended = appendedOf(events, positions)
    if (events.length > 0 && tell.wants('appended'))
      tell.tell('appended', {
        events: appended,
        duplicates: events.length - appended.length,
        origin: events[0]!.source,
      })
    const ids = appended.map(({ id, key, position }) => ({ id, key, position }))
    return { correlationId: events[0]?.correlationId ?? '', events: ids }
  }

  /** Undefined when transactions are not gathered now. */
  #together(one: Gathered): Promise<Appended> | undefined {
    return this.#gathering.run(one)?.then((appended) => appended ?? this.#alone(one))
  }

  async #alone({ what, make }: Gathered): Promise<Appended> {
    const inside = async (tx: LedgerTx) => {
      const events = await make(() => tx.handle)
      return { events, positions: events.length > 0 ? tx.appendLast(events) : noPositions }
    }
    const { ledger } = this.#context
    const transact = () => ledger.transact((tx) => asTransaction(what, () => inside(tx)))
    const { events, positions } = await this.#retried(transact)
    return { events, positions: positions() }
  }

  /** A collision with another process is no reason to bother the caller. */
  async #retried<T>(attempt: () => Promise<T>): Promise<T> {
    const { env } = this.#context.settings
    return this.#busy(async () => {
      for (let collisions = 1; ; collisions++) {
        try {
          return await attempt()
        } catch (error) {
          // In all of these nothing was committed.
          const again =
            isQuadrilleError(error, 'LEDGER_CONFLICT') ||
            isQuadrilleError(error, 'LEDGER_UNREACHABLE') ||
            this.#context.ledger.isConflict(error)
          if (!again || collisions === collisionsMax) throw error
          await sleep(env, env.random() * collisionPauseMs * collisions)
        }
      }
    })
  }

  /** Counts as under way until it ends. */
  async #busy<T>(work: () => Promise<T>): Promise<T> {
    this.#open += 1
    try {
      return await work()
    } finally {
      this.#open -= 1
      if (this.#open === 0) this.#whenNone?.()
    }
  }
}

const emitterOf = ({ correlationId, causationId }: PublishOptions) => ({
  reaction: null,
  cause: null,
  declared: null,
  correlationId,
  causationId,
})
