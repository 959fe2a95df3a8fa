/**
 * Elects one process that receives for a service, where a wire keeps the order only for one receiver: whoever holds
 * partition 0 of a reader that reads nothing. The lease is judged by the ledger's clock; the proof of it is part of every
 * transaction that takes messages, so that a process that was asleep takes none.
 *
 *     candidate --holds the partition--> elected --lost, or not renewed in time--> candidate
 *     stop: the lease is given back, and another candidate has it with its next request
 */
import { isQuadrilleError, type Cancel } from '../../base/index.ts'
import type { Claim } from '../../ledger/index.ts'
import type { LeaseContext } from '../lease-keeper.ts'

/** The partition whose holder is elected. */
export const electing = 0

/** Takes part in an election until stopped. */
export class Election {
  readonly #context: LeaseContext
  readonly #changed: (elected: boolean) => void
  #epoch: number | null = null
  #renewedAt = -Infinity
  #cancel: Cancel = () => {}
  #ended = false

  /** `plan.start` must be past every position: the reader must not hold back retention. */
  constructor(context: LeaseContext, changed: (elected: boolean) => void) {
    this.#context = context
    this.#changed = changed
  }

  get reader(): string {
    return this.#context.plan.reader
  }

  /** The proof, for transactions; undefined when this process is not elected. */
  get claim(): Claim | undefined {
    if (this.#epoch === null) return undefined
    const { plan, settings } = this.#context
    return { reader: plan.reader, owner: settings.instance, epochs: new Map([[electing, this.#epoch]]) }
  }

  async start(): Promise<void> {
    await this.#ask()
    this.#schedule()
  }

  /** Gives the lease back. Called when nothing is received any more. */
  async stop(): Promise<void> {
    this.#ended = true
    this.#cancel()
    const { ledger, plan, settings } = this.#context
    await ledger.lease({ ...this.#request(), reader: plan.reader, owner: settings.instance, release: 'all' })
  }

  #request() {
    const { plan, settings } = this.#context
    return { reader: plan.reader, owner: settings.instance, leaseMs: settings.leaseMs, start: plan.start }
  }

  async #ask(): Promise<void> {
    const { ledger, settings } = this.#context
    const askedAt = settings.env.elapsed()
    const grant = await ledger.lease(this.#request())
    this.#renewedAt = askedAt
    this.#set(grant.leases.find(({ partition }) => partition === electing)?.epoch ?? null)
  }

  #set(epoch: number | null): void {
    if (this.#ended || epoch === this.#epoch) return
    const was = this.#epoch
    this.#epoch = epoch
    // With another epoch somebody else was elected in between: what was in hand is not ours any more.
    if (was !== null) this.#changed(false)
    if (epoch !== null) this.#changed(true)
  }

  #schedule(): void {
    const { settings, tools, plan } = this.#context
    const { env, leaseMs } = settings
    this.#cancel = env.timer(leaseMs / 4, () => {
      this.#ask()
        .catch((error: unknown) => {
          // Nobody can be elected any more.
          if (isQuadrilleError(error, 'LEDGER_CLOSED')) this.#ended = true
          else tools.log.warn({ err: error, reader: plan.reader }, 'the lease could not be renewed')
          if (env.elapsed() - this.#renewedAt > leaseMs) this.#set(null)
        })
        .finally(() => {
          if (!this.#ended) this.#schedule()
        })
    })
  }
}
