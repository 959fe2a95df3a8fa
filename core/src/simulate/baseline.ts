/** What a conversation does when nothing goes wrong: what others with the same input are compared with. */
import type { Talk } from './book.ts'
import { looking } from './looking.ts'
import type { State } from './machine-types.ts'
import type { SimRun } from './sim-run.ts'
import type { SimTables } from './sim-tables.ts'
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

export async function baselineOf(run: SimRun): Promise<Baseline> {
  const talk = run.book.talks[0]!
  return { outcome: talk.outcome, nets: netsOf(talk), counters: await looking(() => counters(run.stage, run.states)) }
}

/** What changes with every write counts nothing. */
const notCounting = /version|revision|updated|seq|time|_at$|date/i

/**
 * The numbers in tables that had rows before any conversation began, such as stocks and balances. Empty for a table that
 * has got further rows meanwhile.
 */
export function counters(stage: Stage, states?: ReadonlyMap<string, State>): string {
  const parts: string[] = []
  for (const { tables, service } of stage.parts) {
    if (!tables.tables().some((table) => stage.seeded.get(table))) continue
    const { name } = service
    const ask = () => countersIn(stage, name, tables)
    parts.push(...(states ? stage.machine(name).look(states.get(name)!, 'counters', ask) : ask()))
  }
  return parts.join('\n')
}

function countersIn(stage: Stage, service: string, tables: SimTables): string[] {
  return tables.tables().flatMap((table) => {
    const before = stage.seeded.get(table) ?? 0
    const rows = before === 0 ? [] : tables.contents(table)
    if (rows.length === 0 || rows.length !== before) return []
    const counting = table.columns.flatMap((column, index) => (notCounting.test(column) ? [] : [index]))
    const numbers = rows.map((row) =>
      counting.map((index) => (typeof row[index] === 'number' ? row[index] : '')).join(),
    )
    return [`${service}.${table.name}: ${numbers.join(' ')}`]
  })
}
