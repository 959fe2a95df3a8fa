/**
 * Services that only write down what they hear. The wires do not keep the order of events of different types, so what such
 * a view shows in the end must not depend on it: it is compared with what it shows when causes come before what they
 * have led to, and everything else as it came.
 */
import type { NewEvent } from '../contracts/index.ts'
import { looking } from './looking.ts'
import type { State } from './machine-types.ts'
import { violate } from './oracles.ts'
import type { SimRun } from './sim-run.ts'
import type { SimTables } from './sim-tables.ts'

/** Says which view is not what it should be. */
export async function judgeViews(run: SimRun): Promise<void> {
  const { stage, book } = run
  if (book.talks.length > 1 || stage.views.size === 0) return
  for (const view of stage.views) {
    if (run.dead.some(({ service }) => service === view)) continue
    const came = (run.arrivals.get(view) ?? []).flatMap((id) => book.told.get(id)?.event ?? [])
    const ordered = causesFirst(run, came)
    const moved = ordered.findIndex((event, index) => event !== came[index])
    if (moved < 0) continue
    const machine = stage.machine(view)
    let state: State = await machine.root()
    for (const event of ordered) {
      const input = { kind: 'receive', key: event.id, event, floorMs: run.floorMs, fault: undefined } as const
      state = (await machine.step(state, input)).to
    }
    const shown = (at: State) => looking(() => machine.look(at, 'rows of a view', rowsOf))
    const expected = await shown(state)
    const got = await shown(run.states.get(view)!)
    const wrong = got.find((row) => !expected.includes(row)) ?? expected.find((row) => !got.includes(row))
    if (wrong === undefined) continue
    const [cause, effect] = [ordered[moved]!, came[moved]!].map(({ type }) => type)
    const table = wrong.slice(0, wrong.indexOf(':'))
    const rows = (all: readonly string[]) =>
      all
        .filter((row) => row.startsWith(`${table}:`))
        .map((row) => row.slice(table.length + 2))
        .join(' ') || 'nothing'
    violate(run, 'STALE_VIEW', {
      subject: `${view}.${table}`,
      message: `${effect} reaches ${view} before ${cause}, which came first, and ${table} then holds ${rows(got)} in place of ${rows(expected)}`,
    })
  }
}

/** As they came, but each after all that it goes back to. */
function causesFirst({ stage, book }: SimRun, came: readonly NewEvent[]): NewEvent[] {
  const causes = new Map(came.map((event) => [event, stage.causesOf(book.talks[0]!, event)]))
  const left = [...came]
  const ordered: NewEvent[] = []
  while (left.length > 0) {
    const isFree = (event: NewEvent) => !left.some(({ id }) => id !== event.id && causes.get(event)!.has(id))
    const index = Math.max(0, left.findIndex(isFree))
    ordered.push(...left.splice(index, 1))
  }
  return ordered
}

/** When something was written, and which row it became, may depend on the order. */
const incidental = /version|revision|updated|seq|time|_at$|At$|date/

/** The rows of all tables, without what is incidental. */
export function rowsOf(tables: SimTables): string[] {
  return tables.tables().flatMap((table) => {
    const columns = table.columns.filter(
      ({ length }, index) =>
        length > 0 && !incidental.test(table.columns[index]!) && table.columns[index] !== table.rowId,
    )
    return tables
      .contents(table)
      .map(
        (row) =>
          `${table.name}: ${JSON.stringify(Object.fromEntries(columns.map((name) => [name, row[table.columns.indexOf(name)]])), plain)}`,
      )
      .sort()
  })
}

const plain = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? `${value}` : value)
