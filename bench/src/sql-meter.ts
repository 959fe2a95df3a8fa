/** Counts and times SQL statements by their text, by standing between node:sqlite and whoever uses it. */
import { StatementSync } from 'node:sqlite'
import { round } from './statistics.ts'

/** What was found about one text. */
export interface StatementCost {
  readonly sql: string
  readonly callsPerOrder: number
  readonly microsPerOrder: number
  readonly microsPerCall: number
}

interface Cost {
  calls: number
  ms: number
}

type Methods = Record<'run' | 'get' | 'all', (this: StatementSync, ...params: never[]) => unknown>

/** Measures from its construction on, for the rest of the process. */
export class SqlMeter {
  #costs = new Map<string, Cost>()
  readonly #texts = new WeakMap<StatementSync, string>()

  constructor() {
    const prototype = StatementSync.prototype as unknown as Methods
    for (const name of ['run', 'get', 'all'] as const) this.#wrap(prototype, name)
  }

  reset(): void {
    this.#costs = new Map()
  }

  /** Dearest first. */
  report(orders: number): readonly StatementCost[] {
    return [...this.#costs]
      .map(([sql, { calls, ms }]) => ({
        sql,
        callsPerOrder: round(calls / orders, 4),
        microsPerOrder: round((ms * 1000) / orders, 2),
        microsPerCall: round((ms * 1000) / calls, 2),
      }))
      .toSorted((a, b) => b.microsPerOrder - a.microsPerOrder)
  }

  #wrap(prototype: Methods, name: keyof Methods): void {
    const original = prototype[name]
    const count = (statement: StatementSync, ms: number): void => this.#count(statement, ms)
    prototype[name] = function (...params) {
      const began = performance.now()
      try {
        return original.apply(this, params)
      } finally {
        count(this, performance.now() - began)
      }
    }
  }

  #count(statement: StatementSync, ms: number): void {
    let text = this.#texts.get(statement)
    if (text === undefined) {
      text = statement.sourceSQL.replace(/\s+/g, ' ').slice(0, 110)
      this.#texts.set(statement, text)
    }
    const cost = this.#costs.get(text)
    if (cost === undefined) this.#costs.set(text, { calls: 1, ms })
    else {
      cost.calls += 1
      cost.ms += ms
    }
  }
}
