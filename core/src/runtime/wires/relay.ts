/**
 * The relay: hands the events that were made here to one wire, in order per key. There is one reader for each wire; its
 * partitions are leased, so that processes share the work and each partition has one of them.
 *
 *     start --> turn --something sent or parked--> turn
 *                    --nothing to do-------------> rest --woken, or something is due--> turn
 *                    --broker out of reach-------> away: pause, growing, then a turn with a few events as a probe
 *                    --ledger or lease in trouble-> pause, turn
 *     stop: what the ledger holds is sent, unless the broker is away; then the leases are given back
 *
 * A turn is one batch: parked events that are due, or a page of the log. The checkpoint moves after the broker has
 * acknowledged, so a relay that dies sends some events twice, with the same id, and loses none.
 */
import { isQuadrilleError, sleep, type Cancel, type QuadrilleError } from '../../base/index.ts'
import { partitionCount, partitionOf, type EventRecord } from '../../contracts/index.ts'
import type { Ledger, LedgerRecord, RecordKey } from '../../ledger/index.ts'
import { deadKind } from '../failure-step.ts'
import type { ContextTools } from '../handler-context.ts'
import { LeaseKeeper } from '../lease-keeper.ts'
import type { Settings } from '../settings.ts'
import type { Telling } from '../telling.ts'
import { laneOf } from '../work.ts'
import { receivedVia } from './intake.ts'
import { Reach } from './reach.ts'
import {
  cut,
  messageOf,
  outcomeOf,
  parcel,
  parcelOf,
  parkedKind,
  parkedLanes,
  parkedRecord,
  sendReaction,
  type Parcel,
  type SendFailure,
} from './relay-records.ts'
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

const pageMax = 1_000
const probeMax = 10
const lanesMax = 100
const laneEventsMax = 50
const pauseAfterErrorMs = 50
const pauseAfterErrorMaxMs = 5_000
/** How often all parked events are looked through, although nobody has told of a change. */
const scanMs = 30_000

/** The name of the relay's reader in the ledger. */
export const relayReader = (wire: string): string => `~relay/${wire}`

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
  #lookedAt = -Infinity
  /** Keys with parked events, in the partitions held. */
  #lanes = new Set<string>()
  #nextDue = 0
  /** Dedupe ids that the broker has, of events that the checkpoint has not passed. */
  #taken = new Set<string>()
  #unsaved = false
  #errors = 0
  #scannedAt = -Infinity
  readonly #reach: Reach

  constructor(context: RelayContext) {
    this.#context = context
    this.reader = relayReader(context.wire.name)
    const { settings, ledger, tell, tools, start } = context
    const plan = { reader: this.reader, start }
    this.#reach = new Reach(context, this.#stopping.signal)
    this.#leases = new LeaseKeeper({ settings, ledger, tell, tools, plan }, () => this.wake())
  }

  async start(): Promise<void> {
    await this.#leases.start()
    this.#loop = this.#run()
  }

  wake(): void {
    this.#woken = true
    this.#resting?.()
  }

  /** Something may have become due by another process or a redrive. */
  lookAgain(): void {
    this.#scannedAt = this.#lookedAt = -Infinity
    this.wake()
  }

  /** The wire says that the broker is back. */
  restored(): void {
    this.#reach.retry()
  }

  get isIdle(): boolean {
    return (this.#resting !== undefined && !this.#woken) || this.#reach.isPausing
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
    return page.events.find((event) => this.#isOurs(event) && !this.#taken.has(event.id))
  }

  /** True for what this wire sends: made here, or to be forwarded, and not come over this very wire. */
  #isOurs(event: EventRecord): boolean {
    const { name, sends, forwards } = this.#context.wire
    if (!sends(event.type)) return false
    const via = receivedVia(event)
    return via === null || (forwards && via !== name)
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
    this.#scannedAt = this.#lookedAt = -Infinity
    if (!isQuadrilleError(error, 'LEASE_LOST')) {
      this.#errors += 1
      tools.log.error({ err: error, reader: this.reader }, 'the relay could not go on; it tries again')
    }
    const pauseMs = Math.min(pauseAfterErrorMaxMs, pauseAfterErrorMs * 2 ** this.#errors)
    await sleep(settings.env, settings.env.random() * pauseMs, this.#stopping.signal)
  }

  /** One batch. Returns false when there was nothing to do. */
  async #turn(): Promise<boolean> {
    const { settings } = this.#context
    const moved = await this.#leases.settle(new Set())
    if (moved.size > 0) {
      this.#taken.clear()
      this.#scannedAt = -Infinity
    }
    if (moved.size > 0 || settings.env.elapsed() - this.#lookedAt >= settings.pollMs) await this.#look()
    if (this.#leases.size === 0) return false
    if (this.#nextDue <= settings.env.now() && (await this.#sendParked())) return true
    return this.#sendPage()
  }

  /** What no wake-up tells: that something is due, and now and then which keys are parked. */
  async #look(): Promise<void> {
    const { settings } = this.#context
    this.#lookedAt = settings.env.elapsed()
    if (this.#leases.size === 0) return
    if (this.#unsaved) await this.#commit([], [], this.#leases.position)
    this.#nextDue = 0
    if (settings.env.elapsed() - this.#scannedAt < scanMs) return
    this.#scannedAt = settings.env.elapsed()
    await this.#scan()
  }

  /** Learns which keys are parked. One whose first event was discarded meanwhile has nobody who would wake it. */
  async #scan(): Promise<void> {
    const { ledger, settings } = this.#context
    const first = await parkedLanes(ledger, this.reader, this.#leases.partitions)
    this.#lanes = new Set(first.keys())
    const asleep = [...first.values()].filter((record) => record !== null)
    const due = settings.env.now()
    if (asleep.length > 0)
      await this.#commit(
        asleep.map((record) => ({ ...record, due })),
        [],
        this.#leases.position,
      )
  }

  async #sendPage(): Promise<boolean> {
    const { ledger } = this.#context
    const after = this.#leases.position
    const limit = this.#reach.away ? probeMax : pageMax
    const page = await ledger.read({ after, limit, types: this.#context.wire.sendsOnly })
    const { events, upTo, isCut } = cut(page.events, page.upTo)
    const ours = events.filter(
      (event) => this.#leases.wants(partitionOf(event.key), event.position) && this.#isOurs(event),
    )
    if (ours.length === 0) {
      if (upTo > after) {
        this.#leases.advance(upTo)
        this.#unsaved = true
      }
      return isCut || !page.end
    }
    const parcels = ours.map(parcel)
    const behind = parcels.filter(({ event }) => this.#lanes.has(laneOf(sendReaction, event.key)))
    const free = behind.length === 0 ? parcels : parcels.filter((each) => !behind.includes(each))
    const results = await this.#send(free)
    if (results === null) return true
    await this.#settle(free, results, {
      puts: behind.map((each) => parkedRecord(this.reader, each, null)),
      position: upTo,
    })
    return true
  }

  /** Sends what is due, with what waits behind it. */
  async #sendParked(): Promise<boolean> {
    const { ledger, settings } = this.#context
    const nowMs = settings.env.now()
    const { partitions } = this.#leases
    const all = partitions.length === partitionCount
    const scope = { scope: this.reader, kind: parkedKind }
    const limit = this.#reach.away ? 1 : lanesMax
    const due = await ledger.query({ ...scope, order: 'due', limit: limit + 1, ...(all ? {} : { partitions }) })
    const ready = due.filter((record) => record.due! <= nowMs).slice(0, limit)
    this.#nextDue = due.find((record) => record.due! > nowMs)?.due ?? (due.length > limit ? nowMs : Infinity)
    if (ready.length === 0) return false
    const parcels: Parcel[] = []
    const next: LedgerRecord[] = []
    const emptied = new Set<string>()
    for (const lane of new Set(ready.map((record) => record.lane!))) {
      const waiting = await ledger.query({ ...scope, order: 'seq', lane, limit: laneEventsMax + 1 })
      parcels.push(...waiting.slice(0, laneEventsMax).map(parcelOf))
      const beyond = waiting[laneEventsMax]
      if (beyond) next.push({ ...beyond, due: nowMs })
      else emptied.add(lane)
    }
    const results = await this.#send(parcels)
    if (results === null) return true
    await this.#settle(parcels, results, { next, position: this.#leases.position })
    parcels.forEach((each, index) => results[index]?.retryable && emptied.delete(laneOf(sendReaction, each.event.key)))
    for (const lane of emptied) this.#lanes.delete(lane)
    this.#nextDue = 0
    return true
  }

  /** Hands parcels to the wire. Null when the broker is out of reach: nothing changes then but the pause. */
  async #send(parcels: readonly Parcel[]): Promise<readonly (QuadrilleError | null)[] | null> {
    const { wire } = this.#context
    const messages = parcels.map(messageOf)
    const open = messages.filter(({ dedupeId }) => !this.#taken.has(dedupeId))
    let answers: readonly (QuadrilleError | null)[]
    try {
      answers = open.length === 0 ? [] : await wire.wire.send(open)
    } catch (error) {
      await this.#reach.pause(error)
      return null
    }
    open.forEach(({ dedupeId }, index) => answers[index] === null && this.#taken.add(dedupeId))
    const trouble = await this.#reach.trouble(answers)
    if (trouble) {
      await this.#reach.pause(trouble)
      return null
    }
    if (open.length > 0) this.#reach.back(answers.includes(null))
    const byId = new Map(open.map(({ dedupeId }, index) => [dedupeId, answers[index]!]))
    return messages.map(({ dedupeId }) => byId.get(dedupeId) ?? null)
  }

  /** Writes down what became of the parcels, and moves the checkpoint. */
  async #settle(
    parcels: readonly Parcel[],
    results: readonly (QuadrilleError | null)[],
    more: {
      readonly puts?: readonly LedgerRecord[]
      readonly next?: readonly LedgerRecord[]
      readonly position: number
    },
  ): Promise<void> {
    const { settings, wire, tell } = this.#context
    const { env } = settings
    const nowMs = env.now()
    const { sent, failures, puts, removes } = outcomeOf(parcels, results, {
      reader: this.reader,
      retry: wire.retry,
      next: more.next ?? [],
      nowMs,
      random: () => env.random(),
      letter: () => env.uuid(),
    })
    const all = [...(more.puts ?? []), ...puts]
    await this.#commit(all, removes, more.position)
    for (const { lane, kind } of all) if (kind === parkedKind) this.#lanes.add(lane!)
    if (all.length > 0) this.#nextDue = 0
    if (sent.length > 0 && tell.wants('sent'))
      tell.tell('sent', { wire: wire.name, events: sent, ageMs: Math.max(0, nowMs - sent[0]!.time) })
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

  async #commit(puts: readonly LedgerRecord[], removes: readonly RecordKey[], position: number): Promise<void> {
    const { ledger, settings } = this.#context
    const claim = { reader: this.reader, owner: settings.instance, epochs: this.#leases.epochs, position }
    await ledger.transact(async (tx) => {
      await tx.hold(claim)
      if (puts.length > 0 || removes.length > 0) await tx.save(puts, removes)
    })
    this.#leases.advance(position)
    this.#unsaved = false
    this.#taken.clear()
  }

  /** The last events before the end. */
  async #flush(): Promise<void> {
    while (!this.#aborted.signal.aborted && !this.#reach.away && this.#leases.size > 0)
      if (!(await this.#sendPage())) break
    if (this.#unsaved && this.#leases.size > 0) await this.#commit([], [], this.#leases.position)
  }

  async #rest(): Promise<void> {
    const { env, pollMs } = this.#context.settings
    const untilDueMs = this.#leases.size === 0 ? Infinity : this.#nextDue - env.now()
    const waitMs = Math.max(0, Math.min(this.#lookedAt + pollMs - env.elapsed(), untilDueMs))
    let cancel: Cancel = () => {}
    const rested = new Promise<void>((resolve) => {
      this.#resting = resolve
      cancel = env.timer(waitMs, resolve)
    })
    this.#context.tell.tell('idle', { reader: this.reader })
    await rested
    this.#resting = undefined
    cancel()
  }
}
