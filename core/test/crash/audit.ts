/** Looks into the files of a test as somebody who knows nothing of the runtime. */
import { DatabaseSync } from 'node:sqlite'
import { start, type AnyService } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import { until } from './crew.ts'
import { openOutside } from './outside.ts'
import { declined, soldOut } from './order-flow.ts'

/** Rows of a query, read with patience: other processes write. */
export function rows<Row extends object>(file: string, sql: string, ...params: (string | number)[]): Row[] {
  const db = new DatabaseSync(file, { timeout: 10_000 })
  try {
    return db.prepare(sql).all(...params) as Row[]
  } finally {
    db.close()
  }
}

export const count = (file: string, sql: string, ...params: (string | number)[]): number =>
  Object.values(rows<Record<string, number>>(file, sql, ...params)[0]!)[0]!

/** Creates the tables of a subject before anybody is started. */
export function prepare(file: string, tables: string, outside: string): void {
  const db = new DatabaseSync(file)
  db.exec('PRAGMA journal_mode = WAL')
  db.exec(tables)
  db.close()
  openOutside(outside).close()
}

/** Records of the runtime that mean that something is still to be done, or was given up. */
export const leftovers = (file: string): { kind: string; count: number }[] =>
  rows(
    file,
    `SELECT kind, count(*) AS count FROM quadrille_records
     WHERE kind GLOB 'work/*' OR kind GLOB 'batch/*' OR kind = 'dead' GROUP BY kind`,
  )

/** Lets an app of the test's own process do what is left, so that nothing is judged before it is over. */
export async function finish(file: string, services: readonly AnyService[]): Promise<void> {
  const app = await start({ services, ledger: sqlite(file, { synchronous: 'NORMAL' }), lease: 300 })
  await app.quiet()
  // What is still to be retried does not count as unquiet.
  await until('all retries', () => leftovers(file).every(({ kind }) => kind === 'dead')).catch(() => {})
  await app.quiet()
  await app.stop()
}

/** What is wrong with the orders. Empty lists: nothing. */
export interface Verdict {
  readonly orders: number
  readonly completed: number
  readonly lost: string[]
  readonly doubled: string[]
  readonly stuck: string[]
  readonly wrong: string[]
}

/** What each order must have led to, effect by effect and event by event. */
function expected(id: string, seen: ReadonlyMap<string, number>): { effects: string[]; events: string[] } {
  const has = (what: string) => seen.has(`${what}|${id}`)
  if (!declined(id) && !soldOut(id))
    return {
      effects: ['payment', 'reserve', 'complete', 'mail', 'book'],
      events: ['order.created', 'payment.processed', 'inventory.updated', 'order.completed'],
    }
  const effects = ['cancel', 'mail']
  const events = ['order.created', 'order.cancelled']
  if (soldOut(id)) events.push('inventory.rejected')
  // Whether the action or its undo came first is a race with two right ends.
  if (declined(id) || has('payment')) {
    effects.push('payment')
    events.push('payment.processed')
    if (!declined(id)) {
      effects.push('refund')
      events.push('payment.refunded')
    }
  }
  if (!soldOut(id) && has('reserve')) {
    effects.push('reserve', 'release')
    events.push('inventory.updated')
  }
  return { effects, events }
}

const tally = (list: readonly { name: string; count: number }[]): Map<string, number> =>
  new Map(list.map(({ name, count }) => [name, count]))

/** Every order: completed or cancelled, once; charged once or refunded; its events exactly as expected. */
export function judgeOrders(file: string, outside: string): Verdict {
  const verdict: Verdict = { orders: 0, completed: 0, lost: [], doubled: [], stuck: [], wrong: [] }
  const effects = tally(
    rows(file, `SELECT what || '|' || subject AS name, count(*) AS count FROM effects WHERE what <> 'note' GROUP BY 1`),
  )
  const events = tally(
    rows(file, `SELECT type || '|' || key AS name, count(*) AS count FROM quadrille_events GROUP BY 1`),
  )
  const charges = tally(rows(outside, 'SELECT order_id AS name, count(*) AS count FROM charges GROUP BY 1'))
  const refunds = tally(rows(outside, 'SELECT order_id AS name, count(*) AS count FROM refunds GROUP BY 1'))
  const left = { effects: new Map(effects), events: new Map(events) }
  const orders = rows<{ id: string; state: string }>(file, 'SELECT id, state FROM orders')
  for (const { id, state } of orders) {
    if (state === 'open') verdict.stuck.push(id)
    const right = declined(id) || soldOut(id) ? 'cancelled' : 'completed'
    if (state !== 'open' && state !== right) verdict.wrong.push(`${id} is ${state}`)
    const want = expected(id, effects)
    for (const [kind, names] of Object.entries(want) as ['effects' | 'events', string[]][]) {
      for (const what of names) {
        const times = left[kind].get(`${what}|${id}`) ?? 0
        left[kind].delete(`${what}|${id}`)
        if (times === 0) verdict.lost.push(`${what} of ${id}`)
        if (times > 1) verdict.doubled.push(`${what} of ${id}: ${times}`)
      }
    }
    const charged = charges.get(id) ?? 0
    const refunded = refunds.get(id) ?? 0
    const paid = declined(id) ? 0 : effects.has(`payment|${id}`) ? 1 : 0
    if (charged !== paid || refunded !== (soldOut(id) ? paid : 0))
      verdict.wrong.push(`${id} was charged ${charged} times and refunded ${refunded} times`)
  }
  for (const name of left.effects.keys()) verdict.wrong.push(`unexpected effect ${name}`)
  for (const name of left.events.keys())
    if (!name.startsWith('customer.noted')) verdict.wrong.push(`unexpected event ${name}`)
  judgeNotes(file, verdict)
  const completed = orders.filter(({ state }) => state === 'completed').length
  return { ...verdict, orders: orders.length, completed }
}

/** The notes of a customer must have been handled once each, in the order in which they are in the log. */
function judgeNotes(file: string, verdict: Verdict): void {
  const asked = rows<{ key: string; turns: string }>(
    file,
    `SELECT key, group_concat(turn, ',') AS turns FROM (SELECT key, json_extract(data, '$.turn') AS turn
     FROM quadrille_events WHERE type = 'customer.noted' ORDER BY position) GROUP BY key`,
  )
  const handled = new Map(
    rows<{ subject: string; turns: string }>(
      file,
      `SELECT subject, group_concat(number, ',') AS turns
       FROM (SELECT subject, number FROM effects WHERE what = 'note' ORDER BY rowid) GROUP BY subject`,
    ).map(({ subject, turns }) => [subject, turns]),
  )
  for (const { key, turns } of asked)
    if (handled.get(key) !== turns) verdict.wrong.push(`notes of ${key}: ${handled.get(key)} instead of ${turns}`)
}
