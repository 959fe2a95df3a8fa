/**
 * The relay: hands the events that were made here to one wire, in order per key. There is one reader for each wire; its
 * partitions are leased, so that processes share the work and each partition has one of them.
 *
 * It takes turns (../turn-loop.ts). While the broker is out of reach it pauses, longer and longer, and a turn is a probe with a
 * few events. In the end what the ledger holds is sent, unless the broker is away, and the leases are given back.
 *
 * A turn settles what has landed, then sends parked events that are due, or launches a page of the log. The checkpoint
 * moves after the broker has acknowledged, and is saved now and then, so a relay that dies sends some events twice, with
 * the same id, and loses none.
 */
import type { QuadrilleError } from '../../base/index.ts'
import { partitionOf, type EventRecord } from '../../contracts/index.ts'
import type { Ledger, LedgerRecord, RecordKey } from '../../ledger/index.ts'
import { deadKind } from '../record-kinds.ts'
import type { ContextTools } from '../handler-context.ts'
import { LeaseKeeper } from '../lease-keeper.ts'
import { Pace } from '../pace.ts'
import type { Settings } from '../settings.ts'
import type { Telling } from '../telling.ts'
import { TurnLoop } from '../turn-loop.ts'
import { Flights, type Landing } from './flights.ts'
import { isFor } from './intake.ts'
import { ParkedLanes } from './parked-lanes.ts'
import { relayReader } from './relay-names.ts'
import { answersOf, Reach } from './reach.ts'
import {
  cut, outcomeOf, outgoingOf, parcel, parcelOf, parkedKind, parkedRecord, parkedReport, type Outcome, type Parcel,
  type SendFailure,
} from './relay-records.ts' // prettier-ignore
import type { WireSettings } from './wire-options.ts'
import type { WireReport } from './wire-report.ts'

/** What a relay works with. */
export interface RelayContext {
  readonly wire: WireSettings
  readonly settings: Settings
  readonly ledger: Ledger
  readonly tell: Telling
  readonly tools: ContextTools
  /** Where it starts when it is new. */
  readonly start: number
  /** Resolves when the wire is open; rejects never. */
  readonly opened: Promise<void>
}

const pageMax = 250
const probeMax = 10
/** How often all parked events are looked through, although nobody has told of a change. */
const scanMs = 30_000
/** How long the ledger need not be told that events were sent: a relay that dies sends those again. */
const saveMs = 100

/** Runs until stopped. */
export class Relay {
  readonly reader: string
  readonly #context: RelayContext
  readonly #leases: LeaseKeeper
  readonly #loop: TurnLoop
  readonly #aborted = new AbortController()
  readonly #pace: Pace
  #scannedAt = -Infinity
  readonly #flights: Flights
  readonly #parked: ParkedLanes
  /** How far the log has been read, when that is further than the checkpoint. */
  #readUpTo = -1
  /** Dedupe ids that the broker has, of events that the checkpoint has not passed, and their positions. */
  readonly #taken = new Map<string, number>()
  /** When the checkpoint is to be saved. */
  #saveAt = Infinity
  #trouble: unknown
  readonly #reach: Reach

  constructor(context: RelayContext) {
    this.#context = context
    this.reader = relayReader(context.wire.name)
    const { settings, ledger, tell, tools, start } = context
    const plan = { reader: this.reader, start }
    this.#pace = new Pace(settings.env, settings.pollMs)
    this.#loop = this.#loopOf(context)
    this.#reach = new Reach(context, this.#loop.signal)
    this.#leases = new LeaseKeeper({ settings, ledger, tell, tools, plan }, () => this.wake())
    this.#parked = new ParkedLanes(ledger, this.reader)
    this.#flights = new Flights({
      send: (parcels) => this.#send(parcels),
      landed: ({ puts }) => this.#parked.add(puts),
      isParked: (key) => this.#parked.has(key),
      wake: () => this.wake(),
    })
  }

  async start(): Promise<void> {
    await this.#leases.start()
    this.#loop.start(this.#context.opened)
  }

  wake(): void {
    this.#pace.stir()
    this.#loop.wake()
  }

  /** Something may have become due by another process or a redrive. */
  lookAgain(): void {
    this.#scannedAt = -Infinity
    this.#pace.hurry()
    this.wake()
  }

  /** The wire says that the broker is back. */
  restored(): void {
    this.#reach.retry()
  }

  get isIdle(): boolean {
    return (this.#loop.isResting && this.#flights.size === 0) || this.#reach.isPausing
  }

  /** Sends what is there, unless the broker is away; gives back the leases. Never throws. */
  async stop(): Promise<void> {
    this.#loop.close()
    this.#reach.retry()
    const warn = (error: unknown) =>
      this.#context.tools.log.warn(
        { err: error, reader: this.reader },
        'the relay could not end in order; nothing is lost',
      )
    await this.#loop.stop().catch(warn)
    await this.#flush().catch(warn)
    await this.#leases.stop().catch(warn)
  }

  /** No more patience: what is not sent stays in the ledger. */
  abort(): void {
    this.#aborted.abort()
    this.#loop.close()
    this.#reach.retry()
  }

  async report(): Promise<WireReport['sending'] & { readonly problem: string | null }> {
    const { ledger, settings } = this.#context
    const { head } = await ledger.health()
    const position =
      this.#leases.size > 0 ? this.#leases.position : Math.min(...(await ledger.positions(this.reader)), head)
    const oldest = await this.#oldestUnsent(position)
    // Their ids begin with their positions.
    const [record] = await ledger.query({ scope: this.reader, kind: parkedKind, limit: 1 })
    const parked = record && parcelOf(record)
    const since = Math.min(oldest?.time ?? Infinity, parked?.event.time ?? Infinity)
    const count = (kind: string) => ledger.count({ scope: this.reader, kind })
    return {
      backlog: oldest ? head - oldest.position + 1 : 0,
      oldestUnsentMs: since < Infinity ? Math.max(0, settings.env.now() - since) : 0,
      parked: await count(parkedKind),
      oldestParked: parked ? parkedReport(parked) : null,
      dead: await count(deadKind),
      partitionsHeld: this.#leases.size,
      problem: this.#reach.away ? `nothing can be sent: ${this.#reach.away.why}` : null,
    }
  }

  async #oldestUnsent(position: number): Promise<EventRecord | undefined> {
    const page = await this.#context.ledger.read({ after: position, limit: 100, types: this.#context.wire.sendsOnly })
    return page.events.find((event) => isFor(this.#context.wire, event) && !this.#taken.has(event.id))
  }

  #loopOf({ settings: { env }, tools: { log }, tell }: RelayContext): TurnLoop {
    const { reader } = this
    return new TurnLoop({
      what: 'relay',
      reader,
      env,
      log,
      turn: () => this.#turn(),
      learn: () => {
        this.#leases.doubt()
        return this.#ground()
      },
      restMs: () => this.#restMs(),
      rests: () => {
        if (this.isIdle) tell.tell('idle', { reader })
      },
    })
  }

  /** Returns false when there was nothing to do. */
  async #turn(): Promise<boolean> {
    const { env } = this.#context.settings
    const moved = await this.#leases.settle(noneInUse)
    if (moved.size > 0) {
      await this.#ground()
      this.#taken.clear()
    }
    if (this.#pace.isDue) {
      // No wake-up tells that something was parked or made due by others.
      this.#pace.looked()
      this.#parked.nextDue = 0
    }
    if (this.#leases.size === 0) return false
    const settled = await this.#settleLanded()
    if (this.#saveAt <= env.elapsed()) await this.#commit([], [], this.#leases.position)
    if (this.#parked.nextDue <= env.now()) {
      // What is parked goes between flights, so that the keys of both are never in the air at once.
      if (this.#flights.size > 0) return settled
      if (env.elapsed() - this.#scannedAt >= scanMs) await this.#scan()
      if (await this.#sendParked()) return true
    }
    return (await this.#launchPage()) || settled
  }

  /** Waits for what is in the air and forgets it: it is read, and sent, again. */
  async #ground(): Promise<void> {
    await this.#flights.abandon()
    this.#readUpTo = -1
    this.#scannedAt = -Infinity
    this.#pace.hurry()
  }

  /** Learns which keys are parked. One whose first event was discarded meanwhile has nobody who would wake it. */
  async #scan(): Promise<void> {
    const { env } = this.#context.settings
    this.#scannedAt = env.elapsed()
    const asleep = await this.#parked.scan(this.#leases.partitions)
    const woken = asleep.map((record) => ({ ...record, due: env.now() }))
    if (woken.length > 0) await this.#commit(woken, [], this.#leases.position)
  }

  /** Reads a page of the log and sends what is ours of it. */
  async #launchPage(): Promise<boolean> {
    const { ledger, settings, wire } = this.#context
    const isProbe = this.#reach.away !== null
    const room = isProbe ? (this.#flights.size === 0 ? probeMax : 0) : this.#flights.room
    if (room <= 0) return false
    const after = Math.max(this.#readUpTo, this.#leases.position)
    const page = await ledger.read({ after, limit: Math.min(room, pageMax), types: wire.sendsOnly })
    const { events, upTo, isCut } = cut(page.events, page.upTo)
    const ours = events.filter(
      (event) => this.#leases.wants(partitionOf(event.key), event.position) && isFor(this.#context.wire, event),
    )
    this.#readUpTo = upTo
    if (ours.length > 0) this.#flights.launch(ours.map(parcel), upTo)
    else if (this.#flights.size === 0 && upTo > this.#leases.position) this.#passed(upTo, settings.pollMs)
    return ours.length > 0 || isCut || !page.end
  }

  /** Settles what has landed, in the order of the log. Returns false when nothing has. */
  async #settleLanded(): Promise<boolean> {
    for (let settled = false; ; settled = true) {
      const flight = this.#flights.takeLanded()
      if (flight === undefined) return settled
      if (flight.landing) await this.#settle(flight.landing, flight.upTo)
      else await this.#lost()
    }
  }

  /** Nothing is known of what became of a batch: nothing changes but the pause. */
  async #lost(): Promise<void> {
    await this.#ground()
    await this.#reach.pause(this.#trouble)
  }

  /** Sends what is due, with what waits behind it. */
  async #sendParked(): Promise<boolean> {
    const lanesMax = this.#reach.away ? 1 : undefined
    const due = await this.#parked.due(this.#context.settings.env.now(), this.#leases.partitions, lanesMax)
    if (due === undefined) return false
    const outcome = await this.#send(due.parcels, due.next)
    if (outcome === null) {
      await this.#lost()
      return true
    }
    await this.#settle({ outcome, behind: [] }, this.#leases.position)
    this.#parked.remove(due.emptied)
    this.#parked.add(outcome.puts)
    this.#parked.nextDue = 0
    return true
  }

  /** Hands parcels to the wire. Null when the broker is out of reach, for `#trouble`. */
  async #send(parcels: readonly Parcel[], next: readonly LedgerRecord[] = []): Promise<Outcome | null> {
    const { wire, settings } = this.#context
    const { env } = settings
    const messages = parcels.map(outgoingOf)
    const open = this.#taken.size === 0 ? messages : messages.filter(({ dedupeId }) => !this.#taken.has(dedupeId))
    const errors = new Map<string, QuadrilleError>()
    try {
      const answers = await answersOf(wire.wire, open, settings.tracing)
      for (const [index, { dedupeId, event }] of open.entries()) {
        const answer = answers[index]!
        if (answer === null) this.#taken.set(dedupeId, event.position)
        else errors.set(dedupeId, answer)
      }
      const trouble = await this.#reach.trouble(answers)
      if (trouble) throw trouble
      if (open.length > 0) this.#reach.back(answers.includes(null))
    } catch (error) {
      this.#trouble = error
      return null
    }
    const results = messages.map(({ dedupeId }) => errors.get(dedupeId) ?? null)
    return outcomeOf(parcels, results, {
      reader: this.reader,
      retry: wire.retry,
      next,
      nowMs: env.now(),
      random: () => env.random(),
      letter: () => env.uuid(),
    })
  }

  /** Writes down what became of events, and moves the checkpoint. */
  async #settle({ outcome, behind }: Landing, position: number): Promise<void> {
    const { settings, wire, tell } = this.#context
    const { sent, failures, removes } = outcome
    const puts = [...behind.map((each) => parkedRecord(this.reader, each, null)), ...outcome.puts]
    if (puts.length > 0 || removes.length > 0) await this.#commit(puts, removes, position)
    else this.#passed(position, saveMs)
    if (sent.length > 0 && tell.wants('sent'))
      tell.tell('sent', { wire: wire.name, events: sent, ageMs: Math.max(0, settings.env.now() - sent[0]!.time) })
    for (const failure of failures) this.#tellFailure(failure)
  }

  #tellFailure({ event, error, retryAt, letter }: SendFailure): void {
    const { wire, tell, tools } = this.#context
    tell.tell('sendFailed', { wire: wire.name, event, error, retryAt })
    if (retryAt !== null) return
    tools.log.error(
      { wire: wire.name, eventId: event.id, letter, code: error.code },
      `${wire.name}: ${event.type} became a dead letter: ${error.message}`,
    )
  }

  /** Everything up to here is done; the ledger is told within some time. */
  #passed(position: number, withinMs: number): void {
    this.#leases.advance(position)
    this.#saveAt = Math.min(this.#saveAt, this.#context.settings.env.elapsed() + withinMs)
    for (const [id, at] of this.#taken) {
      if (at > position) break
      this.#taken.delete(id)
    }
  }

  async #commit(puts: readonly LedgerRecord[], removes: readonly RecordKey[], position: number): Promise<void> {
    const { ledger, settings } = this.#context
    const claim = { reader: this.reader, owner: settings.instance, epochs: this.#leases.epochs, position }
    await ledger.transact(async (tx) => {
      await tx.hold(claim)
      if (puts.length > 0 || removes.length > 0) await tx.save(puts, removes)
    })
    this.#passed(position, 0)
    this.#saveAt = Infinity
  }

  /** The last events before the end. */
  async #flush(): Promise<void> {
    let isDone = false
    const step = async (): Promise<boolean> => {
      const settled = await this.#settleLanded()
      if ((await this.#launchPage()) || settled) return true
      isDone = this.#flights.size === 0
      return isDone
    }
    while (!isDone && !this.#aborted.signal.aborted && !this.#reach.away && this.#leases.size > 0)
      await this.#loop.stepOrRest(step)
    if (this.#saveAt < Infinity && this.#leases.size > 0) await this.#commit([], [], this.#leases.position)
  }

  #restMs(): number {
    const { env } = this.#context.settings
    const isFree = this.#leases.size > 0 && this.#flights.size === 0
    const untilDueMs = isFree ? this.#parked.nextDue - env.now() : Infinity
    return Math.min(this.#pace.waitMs, this.#saveAt - env.elapsed(), untilDueMs)
  }
}

const noneInUse: ReadonlySet<number> = new Set()
