/** The query that finds events by id, conversation or key. */
import { invariant, type FindQuery } from 'quadrille'
import { eventColumns } from './event-rows.ts'
import type { SchemaNames } from './schema-names.ts'
import { chunkBits } from './schema-tables.ts'
import type { Statement } from './statement-group.ts'
import { textArray, type WireValue } from './wire-values.ts'

/** See `Ledger.find()`. */
export function findStatement({ quoted }: SchemaNames, query: FindQuery): Statement {
  const values: WireValue[] = []
  const conditions: string[] = []
  const add = (condition: string, value: WireValue) => {
    values.push(value)
    conditions.push(condition.replace('?', `$${values.length}`))
  }
  if (query.ids !== undefined) add('id = ANY(?::text[])', textArray(query.ids))
  if (query.correlationId !== undefined) add('correlation_id = ?', query.correlationId)
  if (query.key !== undefined) add('key = ?', query.key)
  invariant(conditions.length > 0, 'events are found by ids, conversation or key')
  if (query.types !== undefined) add('type = ANY(?::text[])', textArray(query.types))
  values.push(query.limit)
  const where = conditions.join(' AND ')
  const last = `ORDER BY position LIMIT $${values.length}`
  const isByKeyAlone = query.ids === undefined && query.correlationId === undefined
  if (!isByKeyAlone) return { text: `SELECT ${eventColumns} FROM ${quoted}.events WHERE ${where} ${last}`, values }
  // The limit inside keeps the planner from joining: it takes the chunks for a thousand, and would rather read all events.
  const text = `SELECT ${eventColumns}
    FROM generate_series((SELECT min(position) FROM ${quoted}.events) >> ${chunkBits},
        (SELECT max(position) FROM ${quoted}.events) >> ${chunkBits}) AS chunk,
      LATERAL (SELECT ${eventColumns} FROM ${quoted}.events WHERE (position >> ${chunkBits}) = chunk AND ${where} ${last}) AS found
    ${last}`
  return { text, values }
}
