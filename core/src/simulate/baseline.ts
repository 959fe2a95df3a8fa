/** What a conversation does when nothing goes wrong: what others with the same input are compared with. */
import type { Talk } from './book.ts'
import type { SimRun } from './sim-run.ts'
import type { Stage } from './stage.ts'

/** The default schedule of one input. */
export interface Baseline {
  readonly outcome: 'success' | 'failure' | 'none'
  /** How often each effect was there in the end. */
  readonly nets: ReadonlyMap<string, number>
  /** The counters in the rows that were there from the beginning; see {@link counters}. */
  readonly counters: string
}

/** Effects are counted by name; notices also by who sends them, as two services may send two different ones. */
export function effectName({ effect, by }: Talk['effects'][number]): string {
  return effect.kind === 'notice' ? `${effect.name} by ${by.service}/${by.reaction}` : effect.name
}

/** The net of each effect of a conversation. */
export function netsOf(talk: Talk): Map<string, number> {
  const nets = new Map<string, number>()
  for (const made of talk.effects) {
    const name = effectName(made)
    nets.set(name, (nets.get(name) ?? 0) + made.effect.change)
  }
  return nets
}

export function baselineOf(run: SimRun): Baseline {
  const talk = run.book.talks[0]!
  return { outcome: talk.outcome, nets: netsOf(talk), counters: counters(run.stage) }
}

/** What changes with every write counts nothing. */
const notCounting = /version|revision|updated|seq|time|_at$|date/i

/**
 * The numbers in tables that had rows before any conversation began, such as stocks and balances. Empty for a table that
 * has got further rows meanwhile.
 */
export function counters(stage: Stage): string {
  const parts: string[] = []
  for (const { tables, service } of stage.parts) {
    for (const table of tables.tables()) {
      const before = stage.seeded.get(table) ?? 0
      if (before === 0) continue
      const rows = tables.contents(table)
      if (rows.length !== before) continue
      const counting = table.columns.flatMap((column, index) => (notCounting.test(column) ? [] : [index]))
      const numbers = rows.map((row) =>
        counting.map((index) => (typeof row[index] === 'number' ? row[index] : '')).join(),
      )
      parts.push(`${service.name}.${table.name}: ${numbers.join(' ')}`)
    }
  }
  return parts.join('\n')
}
