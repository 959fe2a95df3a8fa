/** The table of events: appending, reading in order, finding. */
import type { SQLInputValue, SQLOutputValue, StatementResultingChanges, StatementSync } from 'node:sqlite'
import { invariant } from '../../base/index.ts'
import type { EventRecord, NewEvent } from '../../contracts/index.ts'
import { eventAt } from '../event-at.ts'
import type { FindQuery } from '../ledger.ts'
import { chunkBits } from './schema-migration.ts'
import type { Connection } from './sqlite-connection.ts'

const columns =
  'position, id, type, version, source, key, correlation_id, causation_id, reaction, hops, time, traceparent, ' +
  'tracestate, data, extensions'

function recordOfRow(row: SQLOutputValue[]): EventRecord {
  return {
    position: row[0] as number,
    id: row[1] as string,
    type: row[2] as string,
    version: row[3] as number,
    source: row[4] as string,
    key: row[5] as string,
    correlationId: row[6] as string,
    causationId: row[7] as string | null,
    reaction: row[8] as string | null,
    hops: row[9] as number,
    time: row[10] as number,
    traceparent: row[11] as string | null,
    tracestate: row[12] as string | null,
    data: row[13] as string,
    extensions: row[14] as string | null,
  }
}

/** Rows as arrays: node:sqlite makes them in 0.6 of the time of objects. */
const rowsOf = (statement: StatementSync, params: readonly SQLInputValue[]): SQLOutputValue[][] =>
  statement.all(...params) as unknown as SQLOutputValue[][]

/** Chunks that are searched for a key by one statement: a million events. */
const chunksAtOnce = 128

const ofTypes = '+type IN (SELECT value FROM json_each(?))'

const params = (count: number): string => Array.from({ length: count }, () => '?').join(', ')

/** Without the columns that are mostly null, which costs less to bind. */
const commonColumns = columns.replace(' traceparent, tracestate,', '').replace(', extensions', '')

/**
 * Appends through the writing connection, and remembers what it need not ask again while nobody else writes: the
 * next position, and which ids can not have been trimmed.
 *
 * Positions are given here and not by AUTOINCREMENT: that costs an eighth more, and uses one up for every duplicate.
 * The transaction that trims the newest event keeps its position in quadrille_meta, so none is ever used again.
 */
export class EventAppender {
  readonly #insert: StatementSync
  readonly #insertCommon: StatementSync
  readonly #isTrimmed: StatementSync
  readonly #trimmedMax: StatementSync
  readonly #newest: StatementSync
  /** Undefined when not known. */
  #nextPosition: number | undefined
  /** The greatest id in quadrille_trimmed; null when it is empty, undefined when not known. */
  #maxTrimmed: string | null | undefined
  /** Whether ids can be compared with it here: JavaScript and SQLite order the same, but for surrogates. */
  #comparable = false

  constructor({ db }: Connection) {
    const into = (names: string, count: number) =>
      db.prepare(`INSERT INTO quadrille_events (${names}) VALUES (${params(count)}) ON CONFLICT (id) DO NOTHING`)
    this.#insert = into(columns, 15)
    this.#insertCommon = into(commonColumns, 12)
    this.#isTrimmed = db.prepare('SELECT 1 FROM quadrille_trimmed WHERE id = ?')
    this.#trimmedMax = db.prepare('SELECT max(id) AS id FROM quadrille_trimmed')
    this.#newest = db.prepare(
      `SELECT max(coalesce((SELECT max(position) FROM quadrille_events), 0),
                  coalesce((SELECT value FROM quadrille_meta WHERE name = 'trimmed'), 0)) AS position`,
    )
  }

  /** Forgets what it remembers: another process has committed, something was trimmed, or a work was rolled back. */
  forget(): void {
    this.#nextPosition = undefined
    this.#maxTrimmed = undefined
  }

  /** Appends one event; undefined when its id is known. */
  append(event: NewEvent): EventRecord | undefined {
    if (this.#wasTrimmed(event.id)) return undefined
    this.#nextPosition ??= (this.#newest.get()!['position'] as number) + 1
    const record = eventAt(this.#nextPosition, event)
    const isCommon = record.traceparent === null && record.tracestate === null && record.extensions === null
    const { changes } = isCommon ? this.#runCommon(record) : this.#runWhole(record)
    if (changes === 0) return undefined
    this.#nextPosition += 1
    return record
  }

  #runCommon(event: EventRecord): StatementResultingChanges {
    return this.#insertCommon.run(
      event.position,
      event.id,
      event.type,
      event.version,
      event.source,
      event.key,
      event.correlationId,
      event.causationId,
      event.reaction,
      event.hops,
      event.time,
      event.data,
    )
  }

  #runWhole(event: EventRecord): StatementResultingChanges {
    return this.#insert.run(
      event.position,
      event.id,
      event.type,
      event.version,
      event.source,
      event.key,
      event.correlationId,
      event.causationId,
      event.reaction,
      event.hops,
      event.time,
      event.traceparent,
      event.tracestate,
      event.data,
      event.extensions,
    )
  }

  /** New ids are mostly greater than all before (UUIDv7), which saves the look into the table. */
  #wasTrimmed(id: string): boolean {
    if (this.#maxTrimmed === undefined) {
      this.#maxTrimmed = (this.#trimmedMax.get()?.['id'] as string | null | undefined) ?? null
      this.#comparable = this.#maxTrimmed !== null && !/[\ud800-\udfff]/.test(this.#maxTrimmed)
    }
    if (this.#maxTrimmed === null || (this.#comparable && id > this.#maxTrimmed)) return false
    return this.#isTrimmed.get(id) !== undefined
  }
}

/** Reads through the reading connection. */
export class EventReader {
  readonly #connection: Connection
  readonly #head: StatementSync
  readonly #page: StatementSync
  readonly #pageOfTypes: StatementSync
  readonly #next: StatementSync
  readonly #bounds: StatementSync

  constructor(connection: Connection) {
    this.#connection = connection
    const { db } = connection
    this.#head = db.prepare('SELECT max(position) AS head FROM quadrille_events')
    this.#page = db.prepare(`SELECT ${columns} FROM quadrille_events WHERE position > ? ORDER BY position LIMIT ?`)
    this.#page.setReturnArrays(true)
    this.#pageOfTypes = db.prepare(
      `SELECT ${columns} FROM quadrille_events
       WHERE position > ? AND position <= ? AND ${ofTypes} ORDER BY position LIMIT ?`,
    )
    this.#pageOfTypes.setReturnArrays(true)
    this.#next = db.prepare('SELECT min(position) AS position FROM quadrille_events WHERE position > ?')
    this.#bounds = db.prepare(
      `SELECT (SELECT min(position) FROM quadrille_events) >> ${chunkBits} AS first,
              (SELECT max(position) FROM quadrille_events) >> ${chunkBits} AS last`,
    )
  }

  /** The position of the newest event; 0 for an empty log. */
  head(): number {
    return (this.#head.get()?.['head'] as number | null) ?? 0
  }

  /** The next events behind a position. */
  page(after: number, limit: number): EventRecord[] {
    return rowsOf(this.#page, [after, limit]).map(recordOfRow)
  }

  /** The next events of some types, having looked at no more than `window` positions. */
  pageOfTypes(query: { after: number; limit: number; types: readonly string[]; window: number }): {
    readonly events: EventRecord[]
    readonly upTo: number
    /** True when it has looked at everything up to the end of the log. */
    readonly whole: boolean
  } {
    const { after, limit, types, window } = query
    // Behind a gap that trimming has left, the window begins where there are events again.
    const next = this.#next.get(after)!['position'] as number | null
    if (next === null) return { events: [], upTo: after, whole: true }
    // Before the events: another process may commit between two statements, and what it appends must not count as seen.
    const head = this.head()
    const last = Math.min(head, next + window - 1)
    const events = rowsOf(this.#pageOfTypes, [after, last, JSON.stringify(types), limit]).map(recordOfRow)
    if (events.length === limit) return { events, upTo: events[limit - 1]!.position, whole: false }
    return { events, upTo: last, whole: last === head }
  }

  /** Finds events; see {@link FindQuery}. */
  find(query: FindQuery): EventRecord[] {
    if (query.key !== undefined && query.ids === undefined && query.correlationId === undefined)
      return this.#findByKey(query.key, query)
    const conditions: string[] = []
    const params: SQLInputValue[] = []
    const add = (condition: string, value: SQLInputValue) => {
      conditions.push(condition)
      params.push(value)
    }
    if (query.ids !== undefined) add('id IN (SELECT value FROM json_each(?))', JSON.stringify(query.ids))
    if (query.correlationId !== undefined) add('correlation_id = ?', query.correlationId)
    if (query.key !== undefined) add('key = ?', query.key)
    invariant(conditions.length > 0, 'events are found by ids, conversation or key')
    if (query.types !== undefined) add(ofTypes, JSON.stringify(query.types))
    const statement = this.#connection.statements.get(
      `SELECT ${columns} FROM quadrille_events WHERE ${conditions.join(' AND ')} ORDER BY position LIMIT ?`,
    )
    statement.setReturnArrays(true)
    return rowsOf(statement, [...params, query.limit]).map(recordOfRow)
  }

  #findByKey(key: string, { types, limit }: FindQuery): EventRecord[] {
    const { first, last } = this.#bounds.get()! as { first: number | null; last: number }
    const found: EventRecord[] = []
    if (first === null) return found
    const statement = this.#connection.statements.get(
      `WITH RECURSIVE chunks (chunk) AS (SELECT ? UNION ALL SELECT chunk + 1 FROM chunks WHERE chunk < ?)
       SELECT ${columns} FROM chunks CROSS JOIN quadrille_events INDEXED BY quadrille_events_chunk_key
       WHERE (position >> ${chunkBits}) = chunk AND key = ? ${types ? `AND ${ofTypes}` : ''} ORDER BY position LIMIT ?`,
    )
    statement.setReturnArrays(true)
    for (let chunk = first; chunk <= last && found.length < limit; chunk += chunksAtOnce) {
      const until = Math.min(last, chunk + chunksAtOnce - 1)
      const wanted = [chunk, until, key, ...(types ? [JSON.stringify(types)] : []), limit - found.length]
      found.push(...rowsOf(statement, wanted).map(recordOfRow))
    }
    return found
  }
}
