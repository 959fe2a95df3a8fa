/** The three kinds of numbers a metric can be: counted up, set, or spread over buckets. */
import { refuseOption } from '../base/index.ts'

/** A number that only grows while the process lives. */
export class Counter {
  #value = 0

  /** The sum so far. */
  get value(): number {
    return this.#value
  }

  /**
   * Counts up.
   *
   * @param amount - Default 1.
   * @throws QuadrilleError `OPTION_INVALID` for a negative amount.
   */
  add(amount = 1): void {
    if (!(amount >= 0)) refuseOption(amount, 'amount', 'a number of at least 0: a counter never goes down')
    this.#value += amount
  }
}

/** A number that goes up and down. */
export class Gauge {
  #value = 0

  /** What it was set to last; 0 before. */
  get value(): number {
    return this.#value
  }

  /** Replaces the value. */
  set(value: number): void {
    this.#value = value
  }
}

/** How many values fell into each bucket, their sum and their number. */
export class Histogram {
  readonly #bounds: readonly number[]
  readonly #counts: number[]
  #sum = 0

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0)
  }

  /** The sum of all values. */
  get sum(): number {
    return this.#sum
  }

  /** How many values there were. */
  get count(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0)
  }

  /** For each upper bound, how many values were not greater; the last bound is infinite. */
  get cumulative(): readonly { readonly le: number; readonly count: number }[] {
    let count = 0
    return this.#counts.map((own, index) => {
      count += own
      return { le: this.#bounds[index] ?? Infinity, count }
    })
  }

  /** Counts a value. What is not a number is left out, because it would spoil the sum for ever. */
  observe(value: number): void {
    if (Number.isNaN(value)) return
    const bounds = this.#bounds
    let index = 0
    while (index < bounds.length && value > bounds[index]!) index += 1
    this.#counts[index]! += 1
    this.#sum += value
  }
}
