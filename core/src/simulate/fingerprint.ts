/** The state of a schedule as a short text: two schedules with the same one can only go on in the same ways. */
import { hash } from 'node:crypto'
import type { LedgerRecord } from '../ledger/index.ts'
import { noteScope } from '../runtime/batch-tx.ts'
import type { SimProcess } from './sim-process.ts'
import type { SimRun } from './sim-run.ts'

/** Where an event stands in a log depends on what came before, and decides nothing but the order in a lane. */
const position = /"position":\d+/g

const texts = new WeakMap<LedgerRecord, string>()

function textOf(record: LedgerRecord): string {
  let text = texts.get(record)
  if (text === undefined) {
    const { kind, id, due, lane, body } = record
    const name = kind === 'dead' ? '' : id.replace(/^\d{16}/, '')
    text = `${kind}|${name}|${due}|${lane}|${body.replace(position, '')}`
    texts.set(record, text)
  }
  return text
}

const byPlace = (a: LedgerRecord, b: LedgerRecord): number =>
  a.kind < b.kind
    ? -1
    : a.kind > b.kind
      ? 1
      : a.lane === b.lane && a.lane !== null
        ? a.seq - b.seq
        : textOf(a) < textOf(b)
          ? -1
          : 1

interface Known {
  readonly store: number
  readonly tables: number
  readonly text: string
}

const known = new WeakMap<SimProcess, Known>()

/** What one service has committed. */
function processText(process: SimProcess): string {
  const { store, part } = process
  const before = known.get(process)
  if (before?.store === store.version && before.tables === part.tables.version) return before.text
  const records = [...store.records()]
    .filter(({ scope, kind }) => scope !== noteScope && kind !== 'reaction')
    .sort(byPlace)
    .map(textOf)
  const ids = store.events.map((event) => event.id).sort()
  const text = hash('md5', `${records.join('\n')}\n${ids.join()}\n${part.tables.text()}`, 'base64')
  known.set(process, { store: store.version, tables: part.tables.version, text })
  return text
}

/** What the schedule has led to, as far as anyone can see: rows, records and logs. */
export function finalState(run: SimRun): string {
  return [...run.processes.values()].map(processText).join()
}

/** All that decides what can happen from here on, the faults that may still be used left aside. */
export function fingerprint(run: SimRun): string {
  const wires = run.wires.pending.map(({ event, step }) => `${event.id}${step.name}`).sort()
  const calls = run.calls.pending
    .map(({ invocation, step }) => `${invocation.name}${step.kind}${step.name.endsWith(' late')}`)
    .sort()
  const rest = [run.env.floorMs, wires.join(), calls.join(), run.unbegun.join(), run.outsideLog.join()].join('\n')
  return hash('md5', `${finalState(run)}\n${rest}`, 'base64')
}
