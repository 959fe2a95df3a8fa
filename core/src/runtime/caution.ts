/**
 * What a process had in hand when it died may be what killed it: a handler that runs out of memory, a native crash, an endless
 * loop that a supervisor ended. It could not write that down, so its successors do beforehand, and find out step by step:
 *
 *     died once ---------------> as always: mostly it was a deployment, or the machine
 *     twice or more in a row --> what is handled together is marked in the ledger before it begins
 *     came through, or idle ---> as always; the deaths are forgotten
 *
 * Work that another process finds marked is handled in groups of a quarter, marked again. What was marked alone has failed
 * with PROCESS_DIED: backoff, attempts and dead letter as for any failure, so its key is all that it holds up. From
 * then on it is always alone, because its retry may kill again.
 */
import type { LedgerRecord, RecordKey } from '../ledger/index.ts'
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
}

/** How carefully a reader goes on, as far as this process knows. */
export class Caution {
  readonly #context: ReaderContext
  readonly #leases: LeaseKeeper
  readonly #partitions = new Set<number>()
  #deaths = 0
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

  /** With how many others, at most, the work may be handled, all of them marked; Infinity for work that needs no mark. */
  together({ begun, tries }: WorkBody): number {
    if (tries.some(({ code }) => code === 'PROCESS_DIED')) return 1
    if (begun !== undefined) return begun.by === this.#context.settings.instance ? begun.of : Math.max(1, begun.of >> 2)
    return this.limit
  }

  /** True when the work is what a process died of, or was asleep over for longer than its lease. */
  isDeadly({ begun }: WorkBody): boolean {
    return begun?.of === 1 && begun.by !== this.#context.settings.instance
  }

  /** Partitions were taken over from a process that died. Counts how often that has happened in a row. */
  async died(partitions: readonly number[]): Promise<void> {
    if (partitions.length === 0) return
    const { ledger, plan, settings, tools } = this.#context
    const nowMs = settings.env.now()
    const counts = await ledger.transact(async (tx) => {
      await tx.hold(this.#claim())
      const known = await tx.load(partitions.map(this.#keyOf))
      const deaths = known.map((record) => (record && record.expires! > nowMs ? deathsOf(record) : 0) + 1)
      const records = partitions.map((partition, index): LedgerRecord => {
        const body = JSON.stringify({ count: deaths[index]! } satisfies Deaths)
        const expires = nowMs + inARowMs
        return { ...this.#keyOf(partition), partition, lane: null, seq: 0, due: null, expires, body }
      })
      await tx.save(records)
      return deaths
    })
    for (const partition of partitions) this.#partitions.add(partition)
    this.#deaths = Math.max(this.#deaths, ...counts)
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

const deathsOf = (record: LedgerRecord): number => (JSON.parse(record.body) as Deaths).count
