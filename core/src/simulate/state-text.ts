/** The state of a service as a short text: with the same one, it can only go on in the same ways. */
import { hash } from 'node:crypto'
import type { LedgerRecord } from '../ledger/index.ts'
import { noteScope } from '../runtime/batch-tx.ts'
import { deadKind } from '../runtime/record-kinds.ts'
import type { SimProcess } from './sim-process.ts'

/** Where an event stands in a log depends on what came before, and decides nothing but the order in a lane. */
const position = /"position":\d+/g
/** Where in the code an error was made says how it was called, and decides nothing. */
const stack = /"stack":"(?:[^"\\]|\\.)*"/g

const texts = new WeakMap<LedgerRecord, string>()

function textOf(record: LedgerRecord): string {
  let text = texts.get(record)
  if (text === undefined) {
    const { kind, id, due, lane, body } = record
    const name = kind === deadKind ? '' : id.replace(/^\d{16}/, '')
    text = `${kind}|${name}|${due}|${lane}|${body.replace(position, '').replace(stack, '')}`
    texts.set(record, text)
  }
  return text
}

function byPlace(a: LedgerRecord, b: LedgerRecord): number {
  if (a.kind !== b.kind) return a.kind < b.kind ? -1 : 1
  if (a.lane === b.lane && a.lane !== null) return a.seq - b.seq
  return textOf(a) < textOf(b) ? -1 : 1
}

/** What a service has committed, and what else decides about it. */
export function stateText({ store, part }: SimProcess, more: readonly string[]): string {
  const records = [...store.records()]
    .filter(({ scope, kind }) => scope !== noteScope && kind !== 'reaction')
    .sort(byPlace)
    .map(textOf)
  const ids = store.events.map((event) => event.id).sort()
  return hash('md5', [...records, ids.join(), part.tables.text(), ...more].join('\n'), 'base64')
}
