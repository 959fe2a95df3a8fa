/**
 * The relay: hands the events that were made here to one wire, in order per key. There is one reader for each wire; its
 * partitions are leased, so that processes share the work and each partition has one of them.
 *
 *     start --> turn --something read or settled--> turn
 *                    --nothing to do--------------> rest --woken, something has landed or is due--> turn
 *                    --broker out of reach--------> away: pause, growing, then a turn with a few events as a probe
 *                    --ledger or lease in trouble--> pause, turn
 *     stop: what the ledger holds is sent, unless the broker is away; then the leases are given back
 *
 * A turn settles what has landed, then sends parked events that are due, or launches a page of the log. The checkpoint
 * moves after the broker has acknowledged, and is saved now and then, so a relay that dies sends some events twice, with
 * the same id, and loses none.
 */
import { isQuadrilleError, sleep, type Cancel, type QuadrilleError } from '../../base/index.ts'
import { partitionOf, type EventRecord } from '../../contracts/index.ts'
import type { Ledger, LedgerRecord, RecordKey } from '../../ledger/index.ts'
import { deadKind } from '../failure-step.ts'
import type { ContextTools } from '../handler-context.ts'
import { LeaseKeeper } from '../lease-keeper.ts'
import { Pace } from '../pace.ts'
import type { Settings } from '../settings.ts'
import type { Telling } from '../telling.ts'
import { Flights, type Landing } from './flights.ts'
import { isFor } from './intake.ts'
import { ParkedLanes } from './parked-lanes.ts'
import { relayReader } from './relay-names.ts'
import { answersOf, Reach } from './reach.ts'
import {
  cut, messageOf, outcomeOf, parcel, parkedKind, parkedRecord, type Outcome, type Parcel, type SendFailure,
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
const pauseAfterErrorMs = 50
const pauseAfterErrorMaxMs = 5_000
/** How often all parked events are looked through, although nobody has told of a change. */
const scanMs = 30_000
/** How long the ledger need not be told that events were sent: a relay that dies sends those again. */
const saveMs = 100

/** Runs until stopped. */
export class Relay {
  readonly reader: string
  readonly #context: RelayContext
  readonly #leases: LeaseKeeper
  readonly #stopping = new AbortController()
  readonly #aborted = new AbortController()
  #loop: Promise<void> = Promise.resolve()
  #woken = false
  #resting: (() => void) | undefined
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
  #errors = 0
  #trouble: unknown
  readonly #reach: Reach

  constructor(context: RelayContext) {
    this.#context = context
    this.reader = relayReader(context.wire.name)
    const { settings, ledger, tell, tools, start } = context
    const plan = { reader: this.reader, start }
    this.#pace = new Pace(settings.env, settings.pollMs)
    this.#reach = new Reach(context, this.#stopping.signal)
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
    this.#loop = this.#run()
  }

  wake(): void {
    this.#woken = true
    this.#pace.stir()
    this.#resting?.()
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
    const rests = this.#resting !== undefined && !this.#woken && this.#flights.size === 0
    return rests || this.#reach.isPausing
  }

  /** Sends what is there, unless the broker is away; gives back the leases. Never throws. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#reach.retry()
    this.wake()
    await this.#loop
    const warn = (error: unknown) =>
      this.#context.tools.log.warn(
        { err: error, reader: this.reader },
        'the relay could not end in order; nothing is lost',
      )
    await this.#flush().catch(warn)
    await this.#leases.stop().catch(warn)
  }

  /** No more patience: what is not sent stays in the ledger. */
  abort(): void {
    this.#aborted.abort()
    this.#stopping.abort()
    this.#reach.retry()
    this.wake()
  }

  async report(): Promise<WireReport['sending'] & { readonly problem: string | null }> {
    const { ledger, settings } = this.#context
    const { head } = await ledger.health()
    const position =
      this.#leases.size > 0 ? this.#leases.position : Math.min(...(await ledger.positions(this.reader)), head)
    const oldest = await this.#oldestUnsent(position)
    const count = (kind: string) => ledger.count({ scope: this.reader, kind })
    return {
      backlog: oldest ? head - oldest.position + 1 : 0,
      oldestUnsentMs: oldest ? Math.max(0, settings.env.now() - oldest.time) : 0,
      parked: await count(parkedKind),
      dead: await count(deadKind),
      partitionsHeld: this.#leases.size,
      problem: this.#reach.away ? `nothing can be sent: ${this.#reach.away.why}` : null,
    }
  }

  async #oldestUnsent(position: number): Promise<EventRecord | undefined> {
    const page = await this.#context.ledger.read({ after: position, limit: 100, types: this.#context.wire.sendsOnly })
    return page.events.find((event) => isFor(this.#context.wire, event) && !this.#taken.has(event.id))
  }

  async #run(): Promise<void> {
    const { settings, opened } = this.#context
    await opened
    while (!this.#stopping.signal.aborted) {
      try {
        this.#woken = false
        if (await this.#turn()) await settings.env.breathe()
        else if (!this.#woken) await this.#rest()
        this.#errors = 0
      } catch (error) {
        await this.#recover(error)
      }
    }
  }

  async #recover(error: unknown): Promise<void> {
    const { settings, tools } = this.#context
    if (isQuadrilleError(error, 'LEDGER_CLOSED')) return this.#stopping.abort()
    this.#leases.doubt()
    await this.#ground()
    if (!isQuadrilleError(error, 'LEASE_LOST')) {
      this.#errors += 1
      tools.log.error({ err: error, reader: this.reader }, 'the relay could not go on; it tries again')
    }
    const pauseMs = Math.min(pauseAfterErrorMaxMs, pauseAfterErrorMs * 2 ** this.#errors)
    await sleep(settings.env, settings.env.random() * pauseMs, this.#stopping.signal)
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
    const messages = parcels.map(messageOf)
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
    while (!this.#aborted.signal.aborted && !this.#reach.away && this.#leases.size > 0) {
      this.#woken = false
      const settled = await this.#settleLanded()
      if ((await this.#launchPage()) || settled) continue
      if (this.#flights.size === 0) break
      if (!this.#woken) await this.#rest()
    }
    if (this.#saveAt < Infinity && this.#leases.size > 0) await this.#commit([], [], this.#leases.position)
  }

  /** Until woken, or something is due. */
  async #rest(): Promise<void> {
    const { env } = this.#context.settings
    const nowMs = env.elapsed()
    const isFree = this.#leases.size > 0 && this.#flights.size === 0
    const untilDueMs = isFree ? this.#parked.nextDue - env.now() : Infinity
    const waitMs = Math.max(0, Math.min(this.#pace.waitMs, this.#saveAt - nowMs, untilDueMs))
    let cancel: Cancel = () => {}
    const rested = new Promise<void>((resolve) => {
      this.#resting = resolve
      cancel = env.timer(waitMs, resolve)
    })
    if (this.isIdle) this.#context.tell.tell('idle', { reader: this.reader })
    await rested
    this.#resting = undefined
    cancel()
  }
}

const noneInUse: ReadonlySet<number> = new Set()
