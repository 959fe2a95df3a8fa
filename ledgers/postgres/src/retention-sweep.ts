/** Forgets old events, remembered ids and expired records, a bounded number at a time. */
import type { TrimRequest } from 'quadrille'
import type { SchemaNames } from './schema-names.ts'
import type { Rows, Statement } from './statement-group.ts'

/** Rows looked at for each row that may be removed: what is young stands among what is old. */
const looksPerRemoval = 4

/** Sweeps the tables by primary key, each from where the last step stopped and round again. */
export class RetentionSweep {
  readonly #names: SchemaNames
  #after: readonly [position: number, id: string, scope: string, kind: string, record: string] = [0, '', '', '', '']

  constructor(names: SchemaNames) {
    this.#names = names
  }

  /** One step. */
  statement(request: TrimRequest): Statement {
    const { upTo, eventsBefore, idsBefore, recordsBefore, limit } = request
    return {
      text: `SELECT * FROM ${this.#names.quoted}.trim_1($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)`,
      values: [upTo, eventsBefore, idsBefore, recordsBefore, limit, limit * looksPerRemoval, ...this.#after],
    }
  }

  /** Takes the answer: how many rows went, and up to which position events did. */
  took(rows: Rows): { readonly removed: number; readonly upTo: number } {
    const [removed, upTo, position, id, scope, kind, record] = rows[0]!
    this.#after = [Number(position ?? 0), id ?? '', scope ?? '', kind ?? '', record ?? '']
    return { removed: Number(removed), upTo: Number(upTo ?? 0) }
  }
}
