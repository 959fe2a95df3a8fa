/**
 * Watches the size of conversations without a counter in the database. This process counts what its readers handle in
 * buckets, by hash of the conversation; whenever a bucket reaches another sixteenth of the limit, the ledger is asked for the true
 * number of the conversation at hand. A bucket shared by several only makes it ask more often. With up to 16 processes, a
 * runaway conversation is stopped before it has twice the events allowed.
 */
import type { Ledger } from '../ledger/index.ts'
import type { Soon } from './soon.ts'

const bucketsDefault = 2 ** 16
/** How many conversations are remembered as too large; the oldest are asked for again. */
const overMax = 10_000

/** Counts events by conversation: one for all readers of a process, or each of them would let that much pass. */
export class Conversations {
  readonly limit: number
  readonly #ledger: Ledger
  readonly #step: number
  readonly #counts: Uint32Array
  readonly #over = new Map<string, number>()

  /** @param options - `buckets`: a power of two; few are enough for few conversations. Default 65,536. */
  constructor(ledger: Ledger, limit: number, options: { readonly buckets?: number } = {}) {
    this.#ledger = ledger
    this.limit = limit
    this.#counts = new Uint32Array(options.buckets ?? bucketsDefault)
    this.#step = Math.max(1, Math.floor(limit / 16))
  }

  /** Counts one event about to be handled; returns the true number of events when it is over the limit, else null. */
  check(correlationId: string): Soon<number | null> {
    if (this.#over.size > 0) {
      const over = this.#over.get(correlationId)
      if (over !== undefined) return over
    }
    const bucket = hashOf(correlationId) & (this.#counts.length - 1)
    const count = this.#counts[bucket]! + 1
    this.#counts[bucket] = count
    return count % this.#step === 0 ? this.#ask(correlationId) : null
  }

  async #ask(correlationId: string): Promise<number | null> {
    const events = await this.#ledger.find({ correlationId, limit: this.limit + 1 })
    if (events.length <= this.limit) return null
    this.#over.set(correlationId, events.length)
    if (this.#over.size > overMax) this.#over.delete(this.#over.keys().next().value!)
    return events.length
  }
}

/** The end of an id differs most; 12 characters of it are enough to spread conversations over the buckets. */
function hashOf(correlationId: string): number {
  let hash = 0
  for (let i = Math.max(0, correlationId.length - 12); i < correlationId.length; i++)
    hash = Math.imul(hash ^ correlationId.charCodeAt(i), 0x01000193)
  return hash ^ (hash >>> 16)
}
