/**
 * The statements of handlers on one connection. Those of one turn go to the server in one write with one sync, as if each
 * had been sent by pg itself: for every sync the server answers and writes to its socket, which costs it as much as a
 * small statement does. It is only right inside a transaction, where a failure voids what is behind it anyway. The same
 * statement several times in a row, as handlers of one reaction send it, is parsed and described once, and only bound anew.
 *
 *     waiting --end of the turn, or somebody else sends--> sent --all are answered--> resolved
 *                                                            \--one fails--> those before it: resolved; it: its error;
 *                                                                            those behind it, skipped by the server: 25P02
 */
import pg from 'pg'
import { abortedState, isFromServer } from './postgres-errors.ts'
import { WireMessages, type WireConnection } from './wire-messages.ts'

/** What pg does with values and results, which its types do not describe. */
interface Internals {
  readonly utils: { readonly prepareValue: (this: void, value: unknown) => string | Buffer | null }
}
interface TypedClient extends pg.ClientBase {
  readonly _types: unknown
}
interface AnswerTaker {
  readonly _result: { _types: unknown }
  handleRowDescription(message: unknown): void
  handleDataRow(message: unknown): void
  handleCommandComplete(message: unknown, connection: unknown): void
  handleError(error: unknown, connection: unknown): void
  handleReadyForQuery(connection: unknown): void
}

const { prepareValue } = (pg as unknown as Internals).utils

/** A statement with values in the form of the wire, and pg's own query, which takes the answer. */
interface Sent {
  readonly text: string
  readonly values: readonly unknown[]
  readonly query: AnswerTaker
}

/** Stands in the queue of a client in pipeline mode like one query. */
class Burst extends pg.Query {
  readonly #all: readonly Sent[]
  /** The one that is being answered. */
  #at = 0
  /** What the rows of the statement are, which the server has said of the first of several in a row. */
  #description: unknown

  constructor(all: readonly Sent[]) {
    super({ text: '' })
    this.#all = all
  }

  override submit = (connection: unknown): void => {
    const messages = new WireMessages()
    this.#all.forEach(({ text, values }, index) => {
      const repeats = this.#repeats(index)
      if (!repeats) messages.parse(text)
      messages.run(values, !repeats)
    })
    messages.sendOver(connection as WireConnection)
  }

  /** True for the same statement as the one before it. */
  #repeats(index: number): boolean {
    return index > 0 && this.#all[index - 1]!.text === this.#all[index]?.text
  }

  handleRowDescription(message: unknown): void {
    this.#description = message
    this.#all[this.#at]!.query.handleRowDescription(message)
  }

  handleDataRow(message: unknown): void {
    this.#all[this.#at]!.query.handleDataRow(message)
  }

  handleCommandComplete(message: unknown, connection: unknown): void {
    this.#all[this.#at]!.query.handleCommandComplete(message, connection)
    this.#next()
  }

  handleEmptyQuery(): void {
    this.#next()
  }

  #next(): void {
    this.#at += 1
    if (!this.#repeats(this.#at)) this.#description = undefined
    else if (this.#description !== undefined) this.#all[this.#at]!.query.handleRowDescription(this.#description)
  }

  handlePortalSuspended(): void {}

  handleError(error: unknown, connection: unknown): void {
    const behind = isFromServer(error) ? aborted() : error
    this.#all.forEach(({ query }, index) => {
      if (index < this.#at) query.handleReadyForQuery(connection)
      else query.handleError(index === this.#at ? error : behind, connection)
    })
  }

  handleReadyForQuery(connection: unknown): void {
    for (const { query } of this.#all) query.handleReadyForQuery(connection)
  }
}

/** What the server itself says of a statement in a transaction that has failed. */
function aborted(): pg.DatabaseError {
  const text = 'current transaction is aborted, commands ignored until end of transaction block'
  return Object.assign(new pg.DatabaseError(text, text.length, 'error'), { severity: 'ERROR', code: abortedState })
}

/** See above. */
export class UserStatements {
  readonly #client: pg.ClientBase
  #waiting: Sent[] = []

  constructor(client: pg.ClientBase) {
    this.#client = client
  }

  /** As `query` of pg, with a promise. @throws what pg throws for a value that it can not send. */
  send(given: string | pg.QueryConfig, values?: readonly unknown[]): Promise<pg.QueryResult> {
    const [text, config] = typeof given === 'string' ? [given, undefined] : [given.text, given]
    const all = values ?? config?.values
    // What has no values may be several statements, and what has a name is prepared: pg sends them in other ways.
    if (!Array.isArray(all) || all.length === 0 || (config && !isPlain(config))) {
      this.flush()
      return this.#client.query(given, values as unknown[])
    }
    const wireValues = all.map(prepareValue)
    return new Promise((resolve, reject) => {
      const answer = (error: Error | undefined, result: pg.QueryResult) => (error ? reject(error) : resolve(result))
      // Of a text alone pg makes no copy, which would cost it as much as all the rest.
      const query = new pg.Query(config ?? text, [], answer as never) as unknown as AnswerTaker
      query._result._types = (this.#client as TypedClient)._types
      if (this.#waiting.length === 0) process.nextTick(() => this.flush())
      this.#waiting.push({ text, values: wireValues, query })
    })
  }

  /** Sends what waits. To be called before anything else is sent on the connection. */
  flush(): void {
    if (this.#waiting.length === 0) return
    this.#client.query(new Burst(this.#waiting.splice(0)))
  }
}

const plainOptions = new Set(['text', 'values', 'rowMode', 'types'])

const isPlain = (config: pg.QueryConfig): boolean =>
  Object.entries(config).every(([name, value]) => value === undefined || plainOptions.has(name))
