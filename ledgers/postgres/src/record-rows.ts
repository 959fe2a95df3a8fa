/** Records as parameters of `save_1`, as queries, and as they come back from the table. */
import {
  invariant,
  type LedgerRecord,
  type Pending,
  type PendingQuery,
  type RecordKey,
  type RecordQuery,
} from 'quadrille'
import type { SchemaNames } from './schema-names.ts'
import type { Rows, Statement } from './statement-group.ts'
import { floatArray, intArray, numberOf, textArray, type Field, type WireValue } from './wire-values.ts'

const columns = 'scope, kind, id, partition, lane, seq, due, expires, body'

/** The record in a row of the columns. */
export function recordOfRow(row: readonly Field[]): LedgerRecord {
  return {
    scope: row[0]!,
    kind: row[1]!,
    id: row[2]!,
    partition: Number(row[3]),
    lane: row[4]!,
    seq: Number(row[5]),
    due: numberOf(row[6]!),
    expires: numberOf(row[7]!),
    body: row[8]!,
  }
}

/** What a transaction is about to save: of records with the same key, the last one put. */
export class RecordChanges {
  readonly #puts = new Map<string, LedgerRecord>()
  readonly #removes = new Map<string, RecordKey>()

  get isEmpty(): boolean {
    return this.#puts.size === 0 && this.#removes.size === 0
  }

  add(puts: readonly LedgerRecord[], removes: readonly RecordKey[]): void {
    for (const record of puts) {
      this.#removes.delete(nameOf(record))
      this.#puts.set(nameOf(record), record)
    }
    for (const key of removes) {
      this.#puts.delete(nameOf(key))
      this.#removes.set(nameOf(key), key)
    }
  }

  clear(): void {
    this.#puts.clear()
    this.#removes.clear()
  }

  /** The call of `save_1` that writes them. */
  statement({ quoted }: SchemaNames): Statement {
    const puts = [...this.#puts.values()]
    const removes = [...this.#removes.values()]
    const texts = (field: (record: LedgerRecord) => string | null) => textArray(puts.map(field))
    const values: WireValue[] = [
      texts((record) => record.scope),
      texts((record) => record.kind),
      texts((record) => record.id),
      intArray(puts.map((record) => record.partition)),
      texts((record) => record.lane),
      floatArray(puts.map((record) => record.seq)),
      floatArray(puts.map((record) => record.due)),
      floatArray(puts.map((record) => record.expires)),
      texts((record) => record.body),
      textArray(removes.map((key) => key.scope)),
      textArray(removes.map((key) => key.kind)),
      textArray(removes.map((key) => key.id)),
    ]
    return { text: `SELECT ${quoted}.save_1($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)`, values }
  }
}

const nameOf = ({ scope, kind, id }: RecordKey): string => `${scope}\0${kind}\0${id}`

/** Asks for records by key. */
export function loadStatement({ quoted }: SchemaNames, keys: readonly RecordKey[]): Statement {
  return {
    text: `SELECT ${columns} FROM ${quoted}.records
      WHERE (scope, kind, id) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))`,
    values: [
      textArray(keys.map((key) => key.scope)),
      textArray(keys.map((key) => key.kind)),
      textArray(keys.map((key) => key.id)),
    ],
  }
}

/** The records in the order of their keys; undefined where there is none. */
export function loadedRecords(keys: readonly RecordKey[], rows: Rows): (LedgerRecord | undefined)[] {
  const found = new Map(rows.map(recordOfRow).map((record) => [nameOf(record), record]))
  return keys.map((key) => found.get(nameOf(key)))
}

/** Asks for records by {@link RecordQuery}. */
export function queryStatement({ quoted }: SchemaNames, query: RecordQuery): Statement {
  const order = query.order ?? 'id'
  invariant(order !== 'seq' || query.lane !== undefined, 'order seq is for one lane')
  const values: WireValue[] = []
  const conditions: string[] = []
  const add = (condition: string, value: WireValue) => {
    values.push(value)
    conditions.push(condition.replace('?', `$${values.length}`))
  }
  add('scope = ?', query.scope)
  add('kind = ?', query.kind)
  if (query.lane !== undefined) add('lane = ?', query.lane)
  if (order === 'due' || query.dueBefore !== undefined) conditions.push('due IS NOT NULL')
  if (query.dueBefore !== undefined) add('due <= ?', query.dueBefore)
  if (query.partitions !== undefined) add('partition = ANY(?::int[])', intArray(query.partitions))
  if (query.afterId !== undefined) add('id > ?', query.afterId)
  const sort = order === 'id' ? 'id' : `${order}, id`
  values.push(query.limit)
  const where = conditions.join(' AND ')
  return {
    text: `SELECT ${columns} FROM ${quoted}.records WHERE ${where} ORDER BY ${sort} LIMIT $${values.length}`,
    values,
  }
}

/** Asks how many records there are. */
export function countStatement(
  { quoted }: SchemaNames,
  query: { readonly scope: string; readonly kind: string; readonly partitions?: readonly number[] },
): Statement {
  const some = query.partitions === undefined ? '' : ' AND partition = ANY($3::int[])'
  const values: WireValue[] = [query.scope, query.kind]
  if (query.partitions !== undefined) values.push(intArray(query.partitions))
  return { text: `SELECT count(*) FROM ${quoted}.records WHERE scope = $1 AND kind = $2${some}`, values }
}

/** Asks what waits. */
export function pendingStatement({ quoted }: SchemaNames, query: PendingQuery): Statement {
  const some = 'scope = $1 AND kind = each.kind AND partition = ANY($4::int[])'
  return {
    text: `SELECT (SELECT min(due) FROM ${quoted}.records WHERE ${some} AND due IS NOT NULL),
        CASE WHEN counted = 1 THEN (SELECT count(*) FROM ${quoted}.records WHERE ${some}) ELSE 0 END
      FROM unnest($2::text[], $3::int[]) WITH ORDINALITY AS each(kind, counted, place) ORDER BY place`,
    values: [query.scope, textArray(query.kinds), intArray(query.counted.map(Number)), intArray(query.partitions)],
  }
}

/** What was found, in the order of the kinds. */
export const pendingOf = (rows: Rows): readonly Pending[] =>
  rows.map(([due, count]) => ({ due: numberOf(due!), count: Number(count) }))

/** Asks which lanes have records. */
export function lanesStatement(
  { quoted }: SchemaNames,
  query: { readonly scope: string; readonly kind: string; readonly lanes: readonly string[] },
): Statement {
  return {
    text: `SELECT each FROM unnest($3::text[]) AS each
      WHERE EXISTS (SELECT FROM ${quoted}.records WHERE scope = $1 AND kind = $2 AND lane = each)`,
    values: [query.scope, query.kind, textArray(query.lanes)],
  }
}
