/** Appends in a transaction that the user has opened himself, with whatever he talks to the database. */
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { eventsToAppend, QuadrilleError, type PublishOptions, type Returned, type Token, type Tracing } from 'quadrille'
import { hasState, outsideState } from './postgres-errors.ts'
import { schemaNames } from './schema-names.ts'
import { numbersOf } from './wire-values.ts'

/** A client of pg, or what has its `query`. */
export interface PgTransaction {
  query(text: string, values: unknown[]): Promise<{ rows: unknown[] }>
}

/** `sql` of postgres.js, as `begin()` hands it over. */
export interface PostgresJsTransaction {
  unsafe(text: string, values: string[]): PromiseLike<readonly unknown[]>
}

/** A transaction of Kysely. */
export interface KyselyTransaction {
  executeQuery(query: never): Promise<{ rows: unknown[] }>
}

/** A transaction of Drizzle on PostgreSQL. */
export interface DrizzleTransaction {
  execute(text: string): PromiseLike<unknown>
}

/** An open transaction as pg, Kysely, Drizzle or postgres.js know it. */
export type OpenTransaction = PgTransaction | PostgresJsTransaction | KyselyTransaction | DrizzleTransaction

/** Options of {@link append}. */
export interface AppendOptions extends PublishOptions {
  /** The schema of the ledger. Default `quadrille`. */
  readonly schema?: string
  /** Who emits the events: mostly the name of a service. Default `outside`. */
  readonly source?: string
  /**
   * Whether the commit wakes the readers. Default true. A transaction that notifies holds a lock of the whole server while
   * it commits; with thousands a second, say false: readers then look by themselves, once a second.
   */
  readonly notify?: boolean
  /** That of `start({ tracing })`, so that the events belong to the trace of the caller. Default: none. */
  readonly tracing?: Tracing
}

/**
 * Set for as long as the transaction lasts, by each call in a statement before its append, which finds it only if both are in
 * one transaction. The same for all, so that calls which do not wait for each other do not take it from one another.
 */
const token = 'open'

type Run = (text: string, values: readonly string[]) => Promise<unknown>

/**
 * Appends events in a transaction that you have opened: they are there when it commits, and never if it does not, nor if it
 * goes back to a savepoint from before.
 *
 * @param tx - A client of pg, a `Transaction` of Kysely, the `tx` of Drizzle's `transaction()`, the `sql` of `sql.begin()`.
 * @returns a token for `app.seen()`, valid once the transaction has committed. An id that is known already is left out.
 * @throws QuadrilleError `APPEND_OUTSIDE_TRANSACTION` when no transaction is open; `EVENT_FOREIGN_VALUE`, `EVENT_TOO_LARGE`
 *   for the events; and what the database says.
 *
 * @example
 * ```ts
 * await sql.begin(async (tx) => {
 *   await tx`INSERT INTO orders ${tx({ id: order.orderId })}`
 *   await append(tx, OrderCreated(order), { source: 'orders' })
 * })
 * ```
 */
export async function append(tx: OpenTransaction, events: Returned, options: AppendOptions = {}): Promise<Token> {
  const { quoted } = schemaNames(options.schema ?? 'quadrille')
  const { source = 'outside', correlationId, causationId, notify = true, tracing } = options
  const traceContext = tracing?.traceContext.bind(tracing)
  const made = eventsToAppend(events, { where: 'append()', source, correlationId, causationId, traceContext })
  if (made.length === 0) return { correlationId: '', events: [] }
  const run = runnerOf(tx)
  await run(`SELECT set_config('quadrille.tx', $1, true)`, [token])
  const text = `SELECT ${quoted}.append_in_1($1, $2, $3::text::boolean) AS positions`
  const answer = await run(text, [token, JSON.stringify(made), String(notify)]).catch((error: unknown) => {
    throw hasState(error, outsideState) ? new QuadrilleError('APPEND_OUTSIDE_TRANSACTION', {}, error) : error
  })
  // Whatever a library makes of its name.
  const [given] = Object.values(rowsOf(answer)[0] as Record<string, string>)
  const positions = numbersOf(given!)
  const appended = made.flatMap(({ id, key }, index) => {
    const position = positions[index]
    return position === null || position === undefined ? [] : [{ id, key, position }]
  })
  return { correlationId: made[0]!.correlationId, events: appended }
}

/** Drivers answer with rows, or with an object that has them. */
const rowsOf = (answer: unknown): readonly unknown[] =>
  Array.isArray(answer) ? answer : (answer as { rows: unknown[] }).rows

const isFunction = (of: object, name: string): boolean => typeof (of as Record<string, unknown>)[name] === 'function'

/** How the library runs a statement. Recognised by what it offers, so that none of them has to be there. */
function runnerOf(tx: OpenTransaction): Run {
  if (isFunction(tx, 'unsafe')) return async (text, values) => (tx as PostgresJsTransaction).unsafe(text, [...values])
  if (isFunction(tx, 'executeQuery'))
    return (text, values) => (tx as KyselyTransaction).executeQuery(compiled(text, values))
  if (isFunction(tx, 'query')) return (text, values) => (tx as PgTransaction).query(text, [...values])
  if (isFunction(tx, 'execute'))
    return async (text, values) => (tx as DrizzleTransaction).execute(inlined(text, values))
  const expected = 'an open transaction of pg, Kysely, Drizzle or postgres.js'
  throw new QuadrilleError('OPTION_INVALID', { option: 'tx', value: typeof tx, expected })
}

/** A query of Kysely, as its `CompiledQuery.raw()` makes it. */
function compiled(sql: string, parameters: readonly string[]): never {
  const query = { kind: 'RawNode', sqlFragments: [sql], parameters: [] }
  return { sql, parameters, query, queryId: { queryId: randomUUID() } } as never
}

/** Drizzle takes SQL with parameters only as an object of its own; as text the values have to stand in it. Names stay. */
const inlined = (text: string, values: readonly string[]): string =>
  text.replace(/"(?:[^"]|"")*"|\$(\d)/g, (found, place: string | undefined) =>
    place === undefined ? found : pg.escapeLiteral(values[Number(place) - 1]!),
  )
