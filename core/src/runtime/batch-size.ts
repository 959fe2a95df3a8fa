/** How many events a batch takes: as many as fit into a short transaction, so that others do not wait long for theirs. */

/** A batch that took longer is halved. */
const longMs = 40
/** A full batch that took less is doubled. */
const shortMs = 15
const sizeFirst = 64
/** A batch that took less may join the commit of the events it handles. */
const quickMs = 10

/** Grows and shrinks with what batches take. */
export class BatchSize {
  readonly #max: number
  #size: number
  /** Unknown at first: who hangs in his first batch must not keep the events of others from being durable. */
  #lastMs = Infinity

  constructor(max: number) {
    this.#max = max
    this.#size = Math.min(sizeFirst, max)
  }

  /** The size of the next batch. */
  get next(): number {
    return this.#size
  }

  /** True when batches are so short that the transaction of whoever has emitted the events can well wait for them. */
  get isQuick(): boolean {
    return this.#lastMs < quickMs
  }

  /** A batch of so many events has held its transaction for so long. */
  took(events: number, heldMs: number): void {
    this.#lastMs = heldMs
    if (heldMs > longMs) this.#size = Math.max(1, this.#size >> 1)
    else if (events >= this.#size && heldMs < shortMs) this.#size = Math.min(this.#max, this.#size * 2)
  }
}
