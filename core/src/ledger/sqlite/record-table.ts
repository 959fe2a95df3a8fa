/** The table of records: small rows of the runtime's own, by key or by query. */
import type { SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite'
import { invariant } from '../../base/index.ts'
import type { LedgerRecord, Pending, PendingQuery, RecordKey, RecordQuery } from '../ledger.ts'
import type { Connection } from './sqlite-connection.ts'

const columns = 'scope, kind, id, partition, lane, seq, due, expires, body'

function recordOfRow(row: SQLOutputValue[]): LedgerRecord {
  return {
    scope: row[0] as string,
    kind: row[1] as string,
    id: row[2] as string,
    partition: row[3] as number,
    lane: row[4] as string | null,
    seq: row[5] as number,
    due: row[6] as number | null,
    expires: row[7] as number | null,
    body: row[8] as string,
  }
}

/** Partitions as bits, one up, so that -1 (none) has a bit too. One number keeps the text of the statement the same. */
function maskOf(partitions: readonly number[]): number {
  let mask = 0
  for (const partition of partitions) mask |= 1 << (partition + 1)
  return mask
}

const inMask = '((? >> (partition + 1)) & 1) = 1'

/** What {@link RecordWriter.lanes} is asked for. */
export interface LaneQuery {
  readonly scope: string
  readonly kind: string
  readonly lanes: readonly string[]
}

/** Records by query and number, over either connection. */
export class RecordReader {
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** See {@link RecordQuery}. */
  query(query: RecordQuery): LedgerRecord[] {
    const order = query.order ?? 'id'
    invariant(order !== 'seq' || query.lane !== undefined, 'order seq is for one lane')
    const conditions = ['scope = ?', 'kind = ?']
    const params: SQLInputValue[] = [query.scope, query.kind]
    const add = (condition: string, value: SQLInputValue) => {
      conditions.push(condition)
      params.push(value)
    }
    if (query.lane !== undefined) add('lane = ?', query.lane)
    if (order === 'due' || query.dueBefore !== undefined) conditions.push('due IS NOT NULL')
    if (query.dueBefore !== undefined) add('due <= ?', query.dueBefore)
    if (query.partitions !== undefined) add(inMask, maskOf(query.partitions))
    if (query.afterId !== undefined) add('id > ?', query.afterId)
    const sort = order === 'id' ? 'id' : `${order}, id`
    const statement = this.#connection.statements.get(
      `SELECT ${columns} FROM quadrille_records WHERE ${conditions.join(' AND ')} ORDER BY ${sort} LIMIT ?`,
    )
    statement.setReturnArrays(true)
    params.push(query.limit)
    return (statement.all(...params) as unknown as SQLOutputValue[][]).map(recordOfRow)
  }

  /** How many there are. */
  count(query: { readonly scope: string; readonly kind: string; readonly partitions?: readonly number[] }): number {
    const { scope, kind, partitions } = query
    const some = partitions === undefined ? '' : ` AND ${inMask}`
    const sql = `SELECT count(*) AS count FROM quadrille_records WHERE scope = ? AND kind = ?${some}`
    const params = partitions === undefined ? [scope, kind] : [scope, kind, maskOf(partitions)]
    return this.#connection.statements.get(sql).get(...params)!['count'] as number
  }

  /** See {@link PendingQuery}. */
  pending({ scope, kinds, counted, partitions }: PendingQuery): Pending[] {
    const first = this.#connection.statements.get(
      `SELECT min(due) AS due FROM quadrille_records WHERE scope = ? AND kind = ? AND due IS NOT NULL AND ${inMask}`,
    )
    return kinds.map((kind, index) => ({
      due: first.get(scope, kind, maskOf(partitions))!['due'] as number | null,
      count: counted[index] ? this.count({ scope, kind, partitions }) : 0,
    }))
  }
}

/** Records by key, and changes, over the writing connection. */
export class RecordWriter {
  readonly #get: StatementSync
  readonly #put: StatementSync
  readonly #remove: StatementSync
  readonly #anyLane: StatementSync
  readonly #lane: StatementSync

  constructor({ db }: Connection) {
    this.#get = db.prepare(`SELECT ${columns} FROM quadrille_records WHERE scope = ? AND kind = ? AND id = ?`)
    this.#get.setReturnArrays(true)
    this.#put = db.prepare(
      `INSERT INTO quadrille_records (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (scope, kind, id) DO UPDATE SET partition = excluded.partition, lane = excluded.lane,
         seq = excluded.seq, due = excluded.due, expires = excluded.expires, body = excluded.body`,
    )
    const ofKind = 'SELECT 1 FROM quadrille_records WHERE scope = ? AND kind = ? AND lane'
    this.#anyLane = db.prepare(`${ofKind} IS NOT NULL LIMIT 1`)
    this.#lane = db.prepare(`${ofKind} = ? LIMIT 1`)
    this.#remove = db.prepare('DELETE FROM quadrille_records WHERE scope = ? AND kind = ? AND id = ?')
  }

  get(key: RecordKey): LedgerRecord | undefined {
    const row = this.#get.get(key.scope, key.kind, key.id) as unknown as SQLOutputValue[] | undefined
    return row === undefined ? undefined : recordOfRow(row)
  }

  /** Which of these lanes have records. One look when no lane of the kind has any, which is mostly so. */
  lanes({ scope, kind, lanes }: LaneQuery): ReadonlySet<string> {
    if (lanes.length === 0 || this.#anyLane.get(scope, kind) === undefined) return new Set()
    return new Set(lanes.filter((lane) => this.#lane.get(scope, kind, lane) !== undefined))
  }

  /** Puts or replaces. */
  put(record: LedgerRecord): void {
    const { scope, kind, id, partition, lane, seq, due, expires, body } = record
    this.#put.run(scope, kind, id, partition, lane, seq, due, expires, body)
  }

  /** Removes, if it is there. */
  remove(key: RecordKey): void {
    this.#remove.run(key.scope, key.kind, key.id)
  }
}
