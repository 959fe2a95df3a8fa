/**
 * What a process had in hand when it died may be what killed it: a handler, schema or filter that runs out of memory, a native
 * crash, an endless loop that a supervisor ended. It could not write that down, so its successors do beforehand, and find out
 * step by step:
 *
 *     died once ---------------> as always: mostly it was a deployment, or the machine
 *     twice or more in a row --> what is looked at or handled together is marked in the ledger before it begins
 *     came through, or idle ---> as always; the deaths are forgotten
 *
 * There are two marks. A page of the log is marked (in the record of the deaths of each partition) before its events are looked
 * at by schemas, upcasts and filters; the checkpoint that passes it wipes the mark. What concerns a reaction is then only kept as
 * work, and work is marked (in its own record) before its schema and its handler run.
 *
 * What another process finds marked is taken in groups of a quarter, marked again. What was marked alone has failed with
 * PROCESS_DIED: backoff, attempts and dead letter as for any failure, so its key is all that it holds up. From then on it
 * is always alone, because its retry may kill again. An event that nobody could look at is parked for all reactions with its type,
 * and each looks at it when it is tried again.
 */
import { partitionOf, type EventRecord } from '../contracts/index.ts'
import type { LedgerRecord, ReadPage, RecordKey } from '../ledger/index.ts'
import type { LeaseKeeper } from './lease-keeper.ts'
import type { ReaderContext } from './reader-context.ts'
import { workRecord, type Task, type WorkBody } from './work.ts'

const deathsKind = 'deaths'
/** Deaths that are further apart have nothing to do with each other. Longer than supervisors wait between restarts. */
const inARowMs = 15 * 60_000
/** How much is handled together, at most, when it has to be marked. */
const groupMax = 64

interface Deaths {
  readonly count: number
  readonly page?: MarkedPage | undefined
}

/** Events of the log that are looked at together. */
interface MarkedPage {
  readonly by: string
  readonly of: number
  /** The first that is looked at. */
  readonly from: number
  readonly upTo: number
}

/** How carefully a reader goes on, as far as this process knows. */
export class Caution {
  readonly #context: ReaderContext
  readonly #leases: LeaseKeeper
  readonly #partitions = new Set<number>()
  #deaths = 0
  /** Found marked. */
  #pages: readonly MarkedPage[] = []
  /** So many tasks are handled carefully: what the dead process may have had in hand. */
  #left = 0

  constructor(context: ReaderContext, leases: LeaseKeeper) {
    this.#context = context
    this.#leases = leases
  }

  /** Nothing may begin without a mark. */
  get marks(): boolean {
    return this.#deaths > 1
  }

  /** How many events may be handled at once; Infinity when there is no reason for caution. */
  get limit(): number {
    return this.marks ? groupMax : Infinity
  }

  /** How many events of the log may be read at once. */
  get pageLimit(): number {
    const inDoubt = this.#pages.filter(({ upTo }) => upTo > this.#leases.position)
    return Math.min(this.limit, ...inDoubt.map((page) => this.#groupOf(page)))
  }

  /** With how many others, at most, the work may be handled, all of them marked; Infinity for work that needs no mark. */
  together({ begun, tries }: WorkBody): number {
    if (tries.some(({ code }) => code === 'PROCESS_DIED')) return 1
    return begun === undefined ? this.limit : this.#groupOf(begun)
  }

  /** True when the work is what a process died of, or was asleep over for longer than its lease. */
  isDeadly({ begun }: WorkBody): boolean {
    return begun?.of === 1 && begun.by !== this.#context.settings.instance
  }

  /** The process that died while it looked at this event, and at no other; undefined when there is none. */
  diedOf({ position }: EventRecord): string | undefined {
    if (this.#pages.length === 0) return undefined
    const { instance } = this.#context.settings
    return this.#pages.find(({ by, of, from }) => of === 1 && from === position && by !== instance)?.by
  }

  /** Notes in the ledger that this page is looked at, so that a death is known for what it is. False when nothing of it is. */
  async markPage({ events, upTo }: ReadPage): Promise<boolean> {
    if (!this.marks) return false
    const first = events.find((event) => this.#leases.wants(partitionOf(event.key), event.position))
    if (first === undefined) return false
    if (this.diedOf(first) !== undefined) return true
    const { ledger, settings } = this.#context
    const page: MarkedPage = { by: settings.instance, of: events.length, from: first.position, upTo }
    const { partitions } = this.#leases
    await ledger.transact(async (tx) => {
      await tx.hold(this.#claim())
      await tx.save(partitions.map((partition) => this.#record(partition, { count: this.#deaths, page })))
    })
    for (const partition of partitions) this.#partitions.add(partition)
    return true
  }

  /** Partitions were taken over from a process that died. Counts how often that has happened in a row. */
  async died(partitions: readonly number[]): Promise<void> {
    if (partitions.length === 0) return
    const { ledger, plan, settings, tools } = this.#context
    const nowMs = settings.env.now()
    const found = await ledger.transact(async (tx) => {
      await tx.hold(this.#claim())
      const known = await tx.load(partitions.map(this.#keyOf))
      const before = known.map((record) => (record && record.expires! > nowMs ? deathsOf(record) : none))
      const deaths = before.map(({ count, page }): Deaths => ({ count: count + 1, page }))
      await tx.save(partitions.map((partition, index) => this.#record(partition, deaths[index]!)))
      return deaths
    })
    for (const partition of partitions) this.#partitions.add(partition)
    this.#deaths = Math.max(this.#deaths, ...found.map(({ count }) => count))
    const pages = found.map(({ page }, index) =>
      this.#leases.wants(partitions[index]!, page?.upTo ?? 0) ? page : null,
    )
    this.#pages = [...this.#pages, ...pages.filter((page) => page !== null && page !== undefined)]
    this.#left = this.#inHandMax()
    if (this.#deaths > 1)
      tools.log.warn(
        { reader: plan.reader, deaths: this.#deaths, partitions },
        `${plan.reader}: ${this.#deaths} processes in a row died while they held these partitions; work is marked before it begins, to find out whether it kills`,
      )
  }

  /** So much was handled. */
  async handled(tasks: number): Promise<void> {
    this.#left -= tasks
    if (this.#left <= 0) await this.cameThrough()
  }

  /** What the dead process had in hand is done: whatever killed it was not that. */
  async cameThrough(): Promise<void> {
    if (this.#deaths === 0) return
    const removes = [...this.#partitions].map(this.#keyOf)
    await this.#context.ledger.transact((tx) => tx.save([], removes))
    this.#partitions.clear()
    this.#deaths = 0
    this.#pages = []
  }

  /** Notes in the ledger that this work begins, so that a death is known for what it is. Returns it as marked. */
  async mark(tasks: readonly Task[]): Promise<Task[]> {
    const { ledger, plan, settings } = this.#context
    const begun = { by: settings.instance, of: tasks.length }
    const marked = tasks.map((task) => {
      const bare = { ...task, begun }
      return { ...bare, record: workRecord(plan.reader, bare, task.record!.due) }
    })
    await ledger.transact(async (tx) => {
      await tx.hold(this.#claim())
      await tx.save(marked.map(({ record }) => record))
    })
    return marked
  }

  /** Where the deaths of a partition are kept. */
  readonly #keyOf = (partition: number): RecordKey => ({
    scope: this.#context.plan.reader,
    kind: deathsKind,
    id: String(partition),
  })

  #record(partition: number, deaths: Deaths): LedgerRecord {
    const expires = this.#context.settings.env.now() + inARowMs
    const body = JSON.stringify(deaths)
    return { ...this.#keyOf(partition), partition, lane: null, seq: 0, due: null, expires, body }
  }

  /** How many of a group may be taken together by whom finds it marked. */
  #groupOf({ by, of }: { readonly by: string; readonly of: number }): number {
    return by === this.#context.settings.instance ? of : Math.max(1, of >> 2)
  }

  #claim() {
    const { plan, settings } = this.#context
    return { reader: plan.reader, owner: settings.instance, epochs: this.#leases.epochs }
  }

  /** How much a process may have in hand: of each reaction what is due, what a page brings, and the calls under way. */
  #inHandMax(): number {
    const { plan, settings } = this.#context
    return plan.states.reduce((sum, { policy }) => sum + 2 * settings.batchMax + policy.concurrency, 0)
  }
}

const none: Deaths = { count: 0 }
const deathsOf = (record: LedgerRecord): Deaths => JSON.parse(record.body) as Deaths
