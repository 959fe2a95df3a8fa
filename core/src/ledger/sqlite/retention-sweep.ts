/** Forgets old events, remembered ids and expired records, a bounded number at a time. */
import type { SQLOutputValue, StatementSync } from 'node:sqlite'
import type { TrimRequest } from '../ledger.ts'
import type { Connection } from './sqlite-connection.ts'

/** Rows looked at for each row that may be removed: what is young stands among what is old. */
const looksPerRemoval = 4

type Row = SQLOutputValue[]

/** What one step has done. */
export interface Swept {
  /** Rows removed, of all kinds. */
  readonly removed: number
  /** The greatest position removed; 0 for none. */
  readonly upTo: number
}

function prepare({ db }: Connection) {
  const statements = {
    events: db.prepare(
      'SELECT position, id, time FROM quadrille_events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?',
    ),
    deleteEvent: db.prepare('DELETE FROM quadrille_events WHERE position = ?'),
    remember: db.prepare('INSERT OR REPLACE INTO quadrille_trimmed (id, time) VALUES (?, ?)'),
    newest: db.prepare('SELECT max(position) AS position FROM quadrille_events'),
    keepPosition: db.prepare(
      `INSERT INTO quadrille_meta (name, value) VALUES ('trimmed', ?1)
       ON CONFLICT (name) DO UPDATE SET value = max(value, ?1)`,
    ),
    ids: db.prepare('SELECT id, time FROM quadrille_trimmed WHERE id > ? ORDER BY id LIMIT ?'),
    deleteId: db.prepare('DELETE FROM quadrille_trimmed WHERE id = ?'),
    records: db.prepare(
      `SELECT scope, kind, id, expires FROM quadrille_records WHERE (scope, kind, id) > (?, ?, ?)
       ORDER BY scope, kind, id LIMIT ?`,
    ),
    deleteRecord: db.prepare('DELETE FROM quadrille_records WHERE scope = ? AND kind = ? AND id = ?'),
  } satisfies Record<string, StatementSync>
  for (const name of ['events', 'ids', 'records'] as const) statements[name].setReturnArrays(true)
  return statements
}

/**
 * Sweeps the three tables by primary key, each from where the last step stopped and round again, instead of paying for
 * indexes over times with every append.
 */
export class RetentionSweep {
  readonly #sql: ReturnType<typeof prepare>
  #eventAfter = 0
  #idAfter = ''
  #recordAfter: readonly [string, string, string] = ['', '', '']

  constructor(connection: Connection) {
    this.#sql = prepare(connection)
  }

  /** One step, inside a transaction. `now` is when the ids of removed events begin to be remembered. */
  step(request: TrimRequest, now: number): Swept {
    const events = this.#events(request, now)
    return { removed: events.removed + this.#ids(request) + this.#records(request), upTo: events.upTo }
  }

  #events({ upTo, eventsBefore, limit }: TrimRequest, now: number): Swept {
    const looks = limit * looksPerRemoval
    const rows = this.#sql.events.all(this.#eventAfter, upTo, looks) as unknown as Row[]
    let removed = 0
    let last = 0
    for (const [position, id, time] of rows) {
      if (removed === limit) break
      this.#eventAfter = position as number
      if ((time as number) >= eventsBefore) continue
      this.#sql.remember.run(id!, now)
      this.#sql.deleteEvent.run(position!)
      last = position as number
      removed += 1
    }
    if (rows.length < looks && removed < limit) this.#eventAfter = 0
    // The next append must not get the position of an event that readers have passed.
    if (last > ((this.#sql.newest.get()!['position'] as number | null) ?? 0)) this.#sql.keepPosition.run(last)
    return { removed, upTo: last }
  }

  #ids({ idsBefore, limit }: TrimRequest): number {
    const looks = limit * looksPerRemoval
    const rows = this.#sql.ids.all(this.#idAfter, looks) as unknown as Row[]
    let removed = 0
    for (const [id, time] of rows) {
      if (removed === limit) break
      this.#idAfter = id as string
      if ((time as number) >= idsBefore) continue
      this.#sql.deleteId.run(id!)
      removed += 1
    }
    if (rows.length < looks && removed < limit) this.#idAfter = ''
    return removed
  }

  #records({ recordsBefore, limit }: TrimRequest): number {
    const looks = limit * looksPerRemoval
    const rows = this.#sql.records.all(...this.#recordAfter, looks) as unknown as Row[]
    let removed = 0
    for (const [scope, kind, id, expires] of rows) {
      if (removed === limit) break
      this.#recordAfter = [scope as string, kind as string, id as string]
      if (expires === null || (expires as number) >= recordsBefore) continue
      this.#sql.deleteRecord.run(scope!, kind!, id!)
      removed += 1
    }
    if (rows.length < looks && removed < limit) this.#recordAfter = ['', '', '']
    return removed
  }
}
