/** Keeps prepared statements by their SQL text, because preparing one costs more than running it. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'

/** Statements kept at least; up to twice as many are kept between two clean-ups. */
const statementsMin = 256

/**
 * Prepared statements of one connection by SQL text. Two generations instead of a list by age: a hit costs one lookup,
 * and what was not asked for while a whole generation filled up is dropped.
 */
export class StatementCache {
  readonly #db: DatabaseSync
  #young = new Map<string, StatementSync>()
  #old = new Map<string, StatementSync>()

  constructor(db: DatabaseSync) {
    this.#db = db
  }

  /** The statement with this text; `check` is called before a text is prepared for the first time. */
  get(sql: string, check?: (sql: string) => void): StatementSync {
    const hit = this.#young.get(sql)
    if (hit !== undefined) return hit
    let statement = this.#old.get(sql)
    if (statement === undefined) {
      check?.(sql)
      statement = this.#db.prepare(sql)
    }
    if (this.#young.size >= statementsMin) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(sql, statement)
    return statement
  }

  /** How many statements are kept. */
  get size(): number {
    return this.#young.size + this.#old.size
  }
}
