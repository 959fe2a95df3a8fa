/**
 * Keeps the leases of a reader: renews them well before they end, notices gains and losses, gives back what is beyond
 * the fair share, and hands everything back at the end. The truth is in the ledger, where `hold` proves every commit; this is only what the process believes.
 */
import { isQuadrilleError, type Cancel } from '../base/index.ts'
import { partitionCount } from '../contracts/index.ts'
import type { Lease } from '../ledger/index.ts'
import type { ReaderContext } from './reader-context.ts'

/** An idle keeper lets two of three beats pass. */
const idleBeats = 3

/** What it needs to know: whose leases, and where they start. */
export type LeaseContext = Pick<ReaderContext, 'settings' | 'ledger' | 'tell' | 'tools'> & {
  readonly plan: { readonly reader: string; readonly start: number }
}

/** The partitions that a reader of this process holds, and where each of them stands. */
export class LeaseKeeper {
  readonly #context: LeaseContext
  readonly #wake: () => void
  readonly #held = new Map<number, { readonly epoch: number; position: number }>()
  #cancel: Cancel = () => {}
  /** The renewal of the last beat; never rejects. It may reach the ledger after what is asked for later. */
  #renewal: Promise<void> = Promise.resolve()
  /** Something was done since the last renewal, or is under way. */
  #busy = false
  #gained: readonly Lease[] = []
  readonly #abandoned = new Set<number>()
  #beyond = 0
  #doubted = false
  #ended = false
  /** Set when the process leaves: the partitions that it still works on. */
  #kept: readonly number[] | undefined

  constructor(context: LeaseContext, wake: () => void) {
    this.#context = context
    this.#wake = wake
  }

  /** Partition to epoch, for all held. */
  get epochs(): ReadonlyMap<number, number> {
    this.#busy = true
    return new Map([...this.#held].map(([partition, { epoch }]) => [partition, epoch]))
  }

  /** As {@link epochs}, for those held of these. */
  epochsOf(partitions: ReadonlySet<number>): ReadonlyMap<number, number> {
    return new Map([...this.epochs].filter(([partition]) => partitions.has(partition)))
  }

  get size(): number {
    return this.#held.size
  }

  get partitions(): readonly number[] {
    return [...this.#held.keys()]
  }

  /** The smallest position: everything up to here is done in all partitions held. */
  get position(): number {
    let position = Infinity
    for (const lease of this.#held.values()) position = Math.min(position, lease.position)
    return position
  }

  /** How far it has come in each partition held, as of now. */
  get positions(): ReadonlyMap<number, number> {
    return new Map([...this.#held].map(([partition, { position }]) => [partition, position]))
  }

  /** True when the event is this process's to handle, and not handled yet. */
  wants(partition: number, position: number): boolean {
    const lease = this.#held.get(partition)
    return lease !== undefined && position > lease.position
  }

  holds(partition: number): boolean {
    return this.#held.has(partition)
  }

  /** Everything up to here is done. */
  advance(position: number): void {
    for (const lease of this.#held.values()) lease.position = Math.max(lease.position, position)
  }

  /** Asks for leases now, and again and again until stop(). */
  async start(): Promise<void> {
    await this.#renew([])
    this.#schedule()
  }

  /**
   * Takes over what has changed since the last call; only called between batches. Gives back what is beyond the fair
   * share, first what is not `inUse`. Returns the partitions that were gained, lost, or lost and regained: what was in
   * hand for them is void.
   */
  async settle(inUse: ReadonlySet<number>): Promise<ReadonlySet<number>> {
    const moved = new Set<number>()
    // Whoever woke it may have given partitions back: then the next beat is not let pass.
    this.#busy ||= inUse.size > 0 || this.#held.size < partitionCount
    if (this.#beyond > 0) {
      const back = this.partitions
        .toSorted((a, b) => Number(inUse.has(a)) - Number(inUse.has(b)))
        .slice(0, this.#beyond)
      this.#beyond = 0
      for (const partition of back) this.#letGo(partition, moved)
      await this.#renew(back)
    }
    if (this.#doubted) {
      await this.#renew([])
      this.#takeGrant(moved)
      this.#doubted = false
    } else this.#takeGrant(moved)
    if (moved.size > 0) this.#context.tell.tell('leases', { reader: this.#context.plan.reader, held: this.#held.size })
    return moved
  }

  /** Partitions that were taken over from a process that did not give them back, since this was last asked. */
  takeAbandoned(): readonly number[] {
    const taken = [...this.#abandoned].filter((partition) => this.#held.has(partition))
    for (const partition of taken) this.#abandoned.delete(partition)
    return taken
  }

  /** A batch did not end as it should: what was committed of it, and what is still held, only the ledger knows. */
  doubt(): void {
    this.#doubted = true
  }

  /** Takes part no longer: others may have everything but these partitions, on which something is still under way. */
  async leave(kept: ReadonlySet<number>): Promise<void> {
    this.#kept = [...kept]
    for (const partition of this.partitions) if (!kept.has(partition)) this.#held.delete(partition)
    // It would take again what is given back before it.
    await this.#renewal
    await this.#renew([])
  }

  /** Gives everything back, and does not renew any more. Whatever happens, nothing goes on by itself afterwards. */
  async stop(): Promise<void> {
    this.#ended = true
    this.#cancel()
    await this.leave(new Set())
  }

  #takeGrant(moved: Set<number>): void {
    const grant = this.#gained
    if (grant === none) return
    this.#gained = none
    const granted = new Map(grant.map((lease) => [lease.partition, lease.epoch]))
    const lost = this.partitions.filter((partition) => granted.get(partition) !== this.#held.get(partition)!.epoch)
    for (const partition of lost) this.#letGo(partition, moved)
    if (lost.length > 0)
      this.#context.tools.log.warn(
        { code: 'LEASE_LOST', reader: this.#context.plan.reader, partitions: lost },
        'partitions were lost: this process was silent for longer than its lease, or a connection was lost; work in hand is void',
      )
    for (const { partition, epoch, position } of grant) {
      const known = this.#held.get(partition)
      // What is known here may be further than what the ledger has been told.
      if (known?.epoch === epoch && !this.#doubted) continue
      this.#held.set(partition, { epoch, position })
      if (known?.epoch !== epoch) moved.add(partition)
    }
  }

  #letGo(partition: number, moved: Set<number>): void {
    this.#held.delete(partition)
    moved.add(partition)
  }

  async #renew(release: readonly number[]): Promise<void> {
    const { plan, settings, ledger } = this.#context
    const request = {
      reader: plan.reader,
      owner: settings.instance,
      leaseMs: settings.leaseMs,
      start: plan.start,
      ...(this.#kept ? { release: 'all' as const, keep: this.#kept } : { release }),
    }
    this.#busy = false
    const grant = await ledger.lease(request)
    if (this.#ended) return
    this.#gained = grant.leases
    for (const { partition, abandoned } of grant.leases) if (abandoned) this.#abandoned.add(partition)
    this.#beyond = Math.max(0, grant.leases.length - grant.fairShare)
    const isSame = ({ partition, epoch }: Lease) => this.#held.get(partition)?.epoch === epoch
    if (grant.leases.length !== this.#held.size || this.#beyond > 0 || !grant.leases.every(isSame)) this.#wake()
  }

  /**
   * At beats that are the same for all keepers of a process, so that a ledger can take their renewals together. Who has
   * nothing to do renews at every third: if that comes too late, nothing is void.
   */
  #schedule(): void {
    const { settings, tools } = this.#context
    const { env, leaseMs } = settings
    const beatMs = leaseMs / 4
    const beat = Math.floor(env.elapsed() / beatMs) + 1
    this.#cancel = env.timer(Math.ceil(beat * beatMs - env.elapsed()), () => {
      const renewed = this.#busy || beat % idleBeats === 0 ? this.#renew([]) : Promise.resolve()
      this.#renewal = renewed
        .catch((error: unknown) => {
          // Nobody can hold anything any more.
          if (isQuadrilleError(error, 'LEDGER_CLOSED')) this.#ended = true
          else tools.log.warn({ err: error, reader: this.#context.plan.reader }, 'leases could not be renewed')
        })
        .finally(() => {
          if (!this.#ended) this.#schedule()
        })
    })
  }
}

const none: readonly Lease[] = []
