/**
 * How many events a batch takes: as many as fit into a short transaction, so that others do not wait long for theirs. And
 * how many are looked at to find them: more, where few are for the reader.
 */

/** Where there is one writer at a time, everybody waits for the transaction of a batch. */
const oneWriter = { longMs: 40, shortMs: 15, least: 1 }
/**
 * On a server only those wait who want the same rows, and much of the time goes into waiting for the server: the smaller the
 * batches of a busy one, the busier it gets.
 */
const manyWriters = { longMs: 250, shortMs: 100, least: 32 }
const sizeFirst = 64
/** A batch that took less may join the commit of the events it handles. */
const quickMs = 10

/** Grows and shrinks with what batches take. */
export class BatchSize {
  readonly #max: number
  readonly #limits: typeof oneWriter
  #size: number
  #page = 1
  /** Unknown at first: who hangs in his first batch must not keep the events of others from being durable. */
  #lastMs = Infinity

  constructor(max: number, hasManyWriters = false) {
    this.#max = max
    this.#limits = hasManyWriters ? manyWriters : oneWriter
    this.#size = Math.min(sizeFirst, max)
  }

  /** The size of the next batch. */
  get next(): number {
    return this.#size
  }

  /** How many events are looked at for the next batch. */
  get page(): number {
    return Math.max(this.#page, this.#size)
  }

  /** True when batches are so short that the transaction of whoever has emitted the events can well wait for them. */
  get isQuick(): boolean {
    return this.#lastMs < quickMs
  }

  /** A batch has collided: smaller ones hold fewer rows that others want, and less is done again. */
  collided(): void {
    this.#size = Math.max(1, this.#size >> 1)
  }

  /** A batch of so many events has held its transaction for so long: it is halved when that was long, doubled when short. */
  took(events: number, heldMs: number): void {
    const { longMs, shortMs, least } = this.#limits
    this.#lastMs = heldMs
    if (heldMs > longMs) this.#size = Math.max(Math.min(least, this.#max), this.#size >> 1)
    else if (events >= this.#size && heldMs < shortMs) this.#size = Math.min(this.#max, this.#size * 2)
  }

  /**
   * Of a page so many events were looked at, and so many of them were for the reader. A full page of which few were is
   * doubled; a batch that was full before the end of its page shows how long pages need be.
   */
  looked(page: { readonly events: number; readonly concerned: number; readonly isFull: boolean }): void {
    const { events, concerned, isFull } = page
    if (concerned >= this.#size) this.#page = events
    else if (isFull && concerned * 2 <= this.#size) this.#page = Math.min(this.#max, this.page * 2)
  }
}
