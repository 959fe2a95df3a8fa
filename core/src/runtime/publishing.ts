/** Events that come from outside a reaction: transact(), publish() and receive(). */
import { AsyncResource } from 'node:async_hooks'
import { isQuadrilleError, QuadrilleError, sleep, type ErrorCode, type TxHandle } from '../base/index.ts'
import type { EventRecord, NewEvent } from '../contracts/index.ts'
import type { Claim, Ledger, LedgerRecord, LedgerTx } from '../ledger/index.ts'
import type { Returned, Service } from '../service/index.ts'
import type { App, PublishOptions, Token, TransactContext } from './app.ts'
import { appendedOf, noPositions } from './appending.ts'
import { emittedList, newEvents, type Emitter } from './emit.ts'
import type { ContextTools } from './handler-context.ts'
import { Gathering, type Appended, type Gathered } from './gathering.ts'
import { asTransaction, refuseNested } from './nesting.ts'
import type { Settings } from './settings.ts'
import type { Telling } from './telling.ts'
import type { IncomingMessage } from '../wire/index.ts'
import { Intake, type Sorted } from './wires/intake.ts'
import { MappingMarks, type Part } from './wires/mapping-marks.ts'

/** The CloudEvents source of events that no service has emitted. */
const outside = 'outside'

const collisionsMax = 20
const collisionPauseMs = 20
/** What is received has ids, and is the same however often it is written. */
const mayRepeat = 'LEDGER_OUTCOME_UNKNOWN'

/** What publishing needs. */
export interface PublishingContext {
  readonly settings: Settings
  readonly ledger: Ledger
  readonly tell: Telling
  readonly tools: ContextTools
}

/** A wire, and the proof that this process is the one that receives, where only one may. */
interface Sender {
  readonly wire: string
  readonly claim?: Claim | undefined
  /** The types that another version of the service receives: they are taken, too. */
  readonly others: () => Promise<ReadonlySet<string>>
}

/** The three ways in. */
export class Publishing implements Pick<App, 'transact' | 'publish' | 'receive'> {
  readonly #context: PublishingContext
  readonly intake: Intake
  readonly #marks: MappingMarks
  readonly #gathering: Gathering
  readonly #services: ReadonlySet<string>
  #stopped = false
  #open = 0
  #whenNone: (() => void) | undefined

  constructor(context: PublishingContext) {
    this.#context = context
    this.intake = new Intake(context.settings)
    const save = (record: LedgerRecord) => this.#retried(() => context.ledger.transact((tx) => tx.save([record])))
    this.#marks = new MappingMarks({ ...context, save })
    this.#gathering = new Gathering(context.ledger, context.settings.env)
    this.#services = new Set(context.settings.services.map(({ name }) => name))
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
    const { settings, tools } = this.#context
    const where = `transact() of ${service.name}`
    const made = async (handle: () => TxHandle) => {
      const returned = await work(new OutsideContext(service, tools, handle))
      return newEvents(emittedList(returned, where), emitterOf(where, service.name, options), settings)
    }
    // It is run when the ledger has come to it: with the caller's request and span, not with those of whoever came first.
    const context = new AsyncResource('quadrille.transact')
    const make = (handle: () => TxHandle) => context.runInAsyncScope(() => asTransaction(where, () => made(handle)))
    return this.#append({ owner: service.name, make })
  }

  async publish(...[events, options = {}]: Parameters<App['publish']>): Promise<Token> {
    this.#check('publish()')
    const emitter = emitterOf('publish()', outside, options)
    const made = newEvents(emittedList(events, 'publish()'), emitter, this.#context.settings)
    return this.#append({ owner: '', make: async () => made })
  }

  async receive(messages: readonly Uint8Array[]): ReturnType<App['receive']> {
    return this.take(messages.map((body) => ({ attributes: null, body })))
  }

  /**
   * Takes what came from outside: appended, dropped as a duplicate, or a dead letter. Durable on return.
   *
   * @param from - Null for `app.receive()`.
   */
  async take(messages: readonly IncomingMessage[], from: Sender | null = null): ReturnType<App['receive']> {
    this.#check('receive()')
    const isMapped = this.intake.mappedOf(from?.wire ?? null)
    if (isMapped === null) return this.#busy(() => this.#takePart({ messages, mark: null }, from))
    return this.#busy(async () => {
      const sum = { appended: 0, duplicates: 0, dead: 0 }
      for await (const part of this.#marks.parts(messages, isMapped)) {
        const taken = await this.#takePart(part, from)
        for (const count of ['appended', 'duplicates', 'dead'] as const) sum[count] += taken[count]
      }
      return sum
    })
  }

  async #takePart({ messages, refused, mark }: Part, from: Sender | null): ReturnType<App['receive']> {
    const { ledger, tell } = this.#context
    const via = from?.wire ?? null
    const { good, dead } = refused
      ? { good: [], dead: [this.intake.refused(messages[0]!, via, refused)] }
      : await this.#sorted(messages, from)
    const work = async (tx: LedgerTx) => {
      if (from?.claim) await tx.hold(from.claim)
      if (dead.length > 0 || mark !== null) await tx.save(dead, mark === null ? [] : [mark])
      return { positions: good.length > 0 ? tx.appendLast(good) : noPositions }
    }
    const { positions } = await this.#retried(() => ledger.transact(work), mayRepeat)
    const appended = appendedOf(good, positions())
    const duplicates = good.length - appended.length
    if (good.length > 0) tell.tell('appended', { events: appended, duplicates, origin: null })
    return { appended: appended.length, duplicates, dead: dead.length }
  }

  async #sorted(messages: readonly IncomingMessage[], from: Sender | null): Promise<Sorted> {
    const sorted = this.intake.sort(messages, from?.wire ?? null)
    if (from === null || !sorted.hasStranger) return sorted
    return this.intake.sort(messages, from.wire, await from.others())
  }

  /** A transaction of the app itself. @throws QuadrilleError `APP_STOPPED` or `NESTED_TRANSACTION`, and what `work` throws. */
  async transaction<T>(operation: string, work: (tx: LedgerTx) => Promise<T>): Promise<T> {
    this.#check(operation)
    const inside = (tx: LedgerTx) => asTransaction(operation, () => work(tx))
    return this.#busy(() => this.#retried(() => this.#context.ledger.transact(inside)))
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
    if (service && !this.#services.has(service.name))
      throw new QuadrilleError('SERVICE_UNKNOWN', { service: service.name, known: [...this.#services] })
  }

  async #append(given: Gathered): Promise<Token> {
    const { tell } = this.#context
    const one = { ...given, make: madeOnce(given.make) }
    this.#open += 1
    try {
      const gathered = this.#gathering.run(one)
      const { events, positions } = (gathered && (await gathered)) ?? (await this.#alone(one))
      if (events.length > 0 && tell.wants('appended')) {
        const appended = appendedOf(events, positions)
        const duplicates = events.length - appended.length
        tell.tell('appended', { events: appended, duplicates, origin: one.owner || null })
      }
      return tokenOf(events, positions, positions.includes(null) ? await this.#known(events, positions) : [])
    } finally {
      this.#ended()
    }
  }

  /** What was appended before under the ids that were known; what is trimmed, all have handled. */
  async #known(events: readonly NewEvent[], positions: readonly (number | null)[]): Promise<readonly EventRecord[]> {
    const ids = events.filter((_, index) => positions[index] === null).map(({ id }) => id)
    return this.#retried(() => this.#context.ledger.find({ ids, limit: ids.length }))
  }

  async #alone({ make }: Gathered): Promise<Appended> {
    const inside = async (tx: LedgerTx) => {
      const events = await make(() => tx.handle)
      return { events, positions: events.length > 0 ? tx.appendLast(events) : noPositions }
    }
    const { events, positions } = await this.#retried(() => this.#context.ledger.transact(inside))
    return { events, positions: positions() }
  }

  /** A collision with another process is no reason to bother the caller. */
  async #retried<T>(attempt: () => Promise<T>, alsoAfter?: ErrorCode): Promise<T> {
    const { env } = this.#context.settings
    for (let collisions = 1; ; collisions++) {
      try {
        return await attempt()
      } catch (error) {
        // In all of these nothing was committed, or it does no harm twice.
        const again =
          isQuadrilleError(error, 'LEDGER_CONFLICT') ||
          isQuadrilleError(error, 'LEDGER_UNREACHABLE') ||
          (alsoAfter !== undefined && isQuadrilleError(error, alsoAfter)) ||
          this.#context.ledger.isConflict(error)
        if (!again || collisions === collisionsMax) throw error
        await sleep(env, env.random() * collisionPauseMs * collisions)
      }
    }
  }

  /** Counts as under way until it ends. */
  async #busy<T>(work: () => Promise<T>): Promise<T> {
    this.#open += 1
    try {
      return await work()
    } finally {
      this.#ended()
    }
  }

  #ended(): void {
    this.#open -= 1
    if (this.#open === 0) this.#whenNone?.()
  }
}

/** What the work of `transact()` gets. A class, because an object with a getter of its own is slow to make. */
class OutsideContext<Db> implements TransactContext<Db> {
  readonly now: () => Date
  readonly random: () => number
  readonly uuid: () => string
  readonly #service: Service<Db>
  readonly #handle: () => TxHandle
  #db: { readonly opened: unknown } | undefined

  constructor(service: Service<Db>, { now, random, uuid }: ContextTools, handle: () => TxHandle) {
    this.now = now
    this.random = random
    this.uuid = uuid
    this.#service = service
    this.#handle = handle
  }

  get db(): Db {
    this.#db ??= { opened: this.#service.db?.open(this.#handle()) }
    return this.#db.opened as Db
  }
}

/**
 * Work that has not touched the transaction is not done again: its events are the same, with the same ids, so that they are
 * there once although a try whose answer was lost may still commit.
 */
function madeOnce(make: Gathered['make']): Gathered['make'] {
  let made: readonly NewEvent[] | undefined
  return async (handle) => {
    if (made) return made
    let isUsed = false
    const events = await make(() => {
      isUsed = true
      return handle()
    })
    if (!isUsed) made = events
    return events
  }
}

const emitterOf = (where: string, source: string, options: PublishOptions): Emitter => ({
  where,
  source,
  reaction: null,
  cause: null,
  declared: null,
  correlationId: options.correlationId,
  causationId: options.causationId,
})

/** Names the events where they are: just appended, or known before. */
function tokenOf(
  events: readonly NewEvent[],
  positions: readonly (number | null)[],
  known: readonly EventRecord[],
): Token {
  const named: Token['events'][number][] = []
  for (let i = 0; i < events.length; i++) {
    const { id, key } = events[i]!
    const position = positions[i]!
    if (position !== null) named.push({ id, key, position })
  }
  for (const { id, key, position } of known) named.push({ id, key, position })
  const first = known.find(({ id }) => id === events[0]!.id) ?? events[0]
  return { correlationId: first?.correlationId ?? '', events: named }
}
