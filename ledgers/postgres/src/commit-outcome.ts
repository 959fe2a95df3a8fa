/**
 * Whether a transaction has committed whose connection was lost before COMMIT was answered.
 *
 *     wait until the server has ended it (a lock that it holds; its connection is ended for that)
 *     look for its events --one is there, as it was made here--> it has committed, and so have its rows
 *                         --one is missing--------------------> it has not: it may be run again
 *                         --all were known before-------------> if it has only appended, that is the same; else unknown
 */
import type { NewEvent } from 'quadrille'
import type { Line } from './connections.ts'
import type { SchemaNames } from './schema-names.ts'
import { textArray } from './wire-values.ts'

/** What is known of the transaction. */
export interface LostCommit {
  /** What it was to append, in order. */
  readonly events: readonly NewEvent[]
  /** Names its lock. */
  readonly token: number
  /** `alone`: one statement, which may still arrive, but can only append. `open`: it had begun, and its lock is known to be held. */
  readonly kind: 'alone' | 'open'
}

/** What has become of it; the positions of its events, null for duplicates. */
export type Outcome =
  | { readonly committed: true; readonly positions: readonly (number | null)[] }
  | { readonly committed: false }
  | undefined

/** @throws QuadrilleError `LEDGER_UNREACHABLE` while the server can not be asked. */
export async function outcomeOf(lost: LostCommit, names: SchemaNames, line: Line): Promise<Outcome> {
  if (lost.kind === 'open') {
    await line.run({
      text: `SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND objsubid = 2
        AND classid = ${names.locks.outcomes >>> 0} AND objid::bigint = $1 AND pid IS NOT NULL
        AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())`,
      values: [lost.token],
    })
    await line.run({ text: `SELECT pg_advisory_xact_lock(${names.locks.outcomes}, $1)`, values: [lost.token] })
  }
  const [rows] = await line.run({
    text: `SELECT id, position, time, source, key, correlation_id, data FROM ${names.quoted}.events WHERE id = ANY($1::text[])`,
    values: [textArray(lost.events.map(({ id }) => id))],
  })
  const found = new Map(rows!.map((row) => [row[0]!, row]))
  const isOurs = ({ id, time, source, key, correlationId, data }: NewEvent) => {
    const [, , wasTime, ...was] = found.get(id) ?? []
    return Number(wasTime) === time && [source, key, correlationId, data].every((value, index) => value === was[index])
  }
  if (lost.events.some(isOurs)) {
    const positions = lost.events.map((event) => {
      const position = isOurs(event) ? Number(found.get(event.id)![1]) : null
      // An id that comes twice counts once.
      found.delete(event.id)
      return position
    })
    return { committed: true, positions }
  }
  if (!lost.events.every(({ id }) => found.has(id))) return { committed: false }
  return lost.kind === 'alone' ? { committed: true, positions: lost.events.map(() => null) } : undefined
}
