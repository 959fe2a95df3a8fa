/**
 * Several statements in one write to the socket, answered in one go: parse, bind and execute for each, and one sync at
 * the end. Outside a transaction block the group is a transaction of its own; after a failure PostgreSQL skips the rest.
 */
import pg from 'pg'
import { QuadrilleError } from 'quadrille'
import { WireMessages, type WireConnection } from './wire-messages.ts'
import { wireForm, type Field, type WireValue } from './wire-values.ts'

/** A statement whose rows come back as lists of text. */
export interface Statement {
  readonly text: string
  readonly values?: readonly WireValue[]
}

/** The rows of a statement. */
export type Rows = readonly Field[][]

/** How a group ends. */
interface Settle {
  resolve(results: readonly Rows[]): void
  reject(error: unknown): void
}

/**
 * A subclass of pg's own query, so that it may stand in the queue of a client in pipeline mode. It leaves out what pg asks
 * for beside the rows (their description), because the statements are ours.
 */
class StatementGroup extends pg.Query {
  readonly #statements: readonly Statement[]
  readonly #results: Field[][][] = []
  #rows: Field[][] = []
  readonly #settle: Settle

  constructor(statements: readonly Statement[], settle: Settle) {
    super({ text: '' })
    this.#statements = statements
    this.#settle = settle
  }

  override submit = (connection: unknown): void => {
    const messages = new WireMessages()
    for (const { text, values = [] } of this.#statements) {
      messages.parse(text)
      messages.run(values.map(wireForm))
    }
    messages.sendOver(connection as WireConnection)
  }

  handleRowDescription(): void {}

  handleDataRow(message: { fields: Field[] }): void {
    this.#rows.push(message.fields)
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    // In a transaction that has failed, COMMIT is answered like this, and without an error.
    if (text === 'ROLLBACK' && this.#statements[this.#results.length]!.text === 'COMMIT')
      this.#settle.reject(rolledBack())
    this.#results.push(this.#rows)
    this.#rows = []
  }

  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}

  handleError(error: unknown): void {
    this.#settle.reject(error)
  }

  handleReadyForQuery(): void {
    this.#settle.resolve(this.#results)
  }
}

const rolledBack = (): QuadrilleError =>
  new QuadrilleError('INTERNAL', { sentence: 'COMMIT is not sent in a transaction that has failed' })

/**
 * Runs statements in one write.
 *
 * @returns the rows of each. Rejects with the error of the first that failed; those behind it have not been run.
 */
export function runGroup(client: pg.ClientBase, statements: readonly Statement[]): Promise<readonly Rows[]> {
  return new Promise((resolve, reject) => {
    client.query(new StatementGroup(statements, { resolve, reject }))
  })
}
