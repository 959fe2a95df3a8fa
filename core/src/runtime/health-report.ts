/** Looks at everything and says what needs a person. */
import type { Ledger } from '../ledger/index.ts'
import { sleep } from '../base/index.ts'
import type { Health, ReaderHealth } from './app.ts'
import type { DeadBody } from './failure-step.ts'
import { deadKind } from './record-kinds.ts'
import { firstEvent } from './first-event.ts'
import type { Reader } from './reader.ts'
import { keepers } from './retirement.ts'
import type { RunningHandlers } from './running-handlers.ts'
import type { Settings } from './settings.ts'
import { receiveScope } from './wires/intake.ts'
import type { WireReport } from './wires/wire-report.ts'

/** A reader that is behind by more, and does not move, needs a look. */
const oldestMsMax = 60_000
/** More dead letters are not looked into. */
const lettersMax = 1_000
/** How long the ledger may take to answer while a handler holds it, and how often it is then looked whether one does. */
const answerMs = 1_000

/** What is looked at. */
interface HealthContext {
  ledger: Ledger
  settings: Settings
  readers: readonly Reader[]
  running: () => readonly string[]
  handlers: RunningHandlers
  wires: () => Promise<readonly WireReport[]>
}

/** Puts the report of `app.health()` together; without what only the ledger knows when it waits for a handler that holds it. */
export async function healthReport(context: HealthContext): Promise<Health> {
  const ended = new AbortController()
  const full = fullReport(context).finally(() => ended.abort())
  for (;;) {
    await Promise.race([full, sleep(context.settings.env, answerMs, ended.signal)])
    if (ended.signal.aborted) return full
    const problems = context.handlers.problems()
    if (problems.length === 0) continue
    // It may still end, or fail, when the app is stopped.
    full.catch(() => {})
    return withoutLedger(context, problems)
  }
}

function withoutLedger({ ledger, readers }: HealthContext, problems: readonly string[]): Health {
  const silent = `${ledger.name} does not answer meanwhile`
  const known = readers.map(({ leases }) => leases.position).filter(Number.isFinite)
  const facts = { ok: false, head: Math.max(0, ...known), problems: [silent], facts: {} }
  return { ok: false, problems: [...problems, silent], ledger: facts, readers: [], wires: [] }
}

async function fullReport(context: HealthContext): Promise<Health> {
  const { ledger, settings } = context
  const ledgerHealth = await ledger.health()
  const readers = await Promise.all(context.readers.map((reader) => readerHealth(reader, ledgerHealth.head, settings)))
  const problems = [...context.handlers.problems(), ...ledgerHealth.problems]
  const received = await ledger.count({ scope: receiveScope, kind: deadKind })
  if (received > 0)
    problems.push(`${received} received message${received === 1 ? '' : 's'} could not be read: dead letters`)
  for (const { plan } of context.readers.map((reader) => reader.context)) {
    const effects = await notUndone(plan.reader, ledger)
    if (effects > 0) problems.push(`${plan.reader} could not undo ${effects} effect${effects === 1 ? '' : 's'}`)
  }
  for (const { reader, oldestMs, backlog, dead, openBreakers, partitionsHeld } of readers) {
    if (dead > 0) problems.push(`${reader} has ${dead} dead letter${dead === 1 ? '' : 's'}`)
    if (openBreakers.length > 0) problems.push(`${reader} has open breakers: ${openBreakers.join(', ')}`)
    if (oldestMs > oldestMsMax && partitionsHeld > 0)
      problems.push(`${reader} is ${backlog} events behind, the oldest ${Math.round(oldestMs / 1_000)} s old`)
  }
  const wires = await context.wires()
  for (const wire of wires) problems.push(...wire.problems)
  problems.push(...(await keepers(ledger, context)))
  return { ok: ledgerHealth.ok && problems.length === 0, problems, ledger: ledgerHealth, readers, wires }
}

/** An undo that is a dead letter has left an effect that nobody wanted: worse than a dead letter of another kind. */
async function notUndone(reader: string, ledger: Ledger): Promise<number> {
  const letters = await ledger.query({ scope: reader, kind: deadKind, limit: lettersMax })
  return letters.filter(({ body }) => (JSON.parse(body) as DeadBody).role === 'undo').length
}

async function readerHealth(reader: Reader, head: number, settings: Settings): Promise<ReaderHealth> {
  const { plan, ledger } = reader.context
  const nowMs = settings.env.now()
  const position =
    reader.leases.size > 0 ? reader.leases.position : Math.min(...(await ledger.positions(plan.reader)), head)
  const oldest = position < head ? await firstEvent(ledger, { after: position, types: plan.types }) : undefined
  const open = plan.states.filter((state) => state.breaker && state.breaker.state(nowMs) !== 'closed')
  let waiting = 0
  for (const state of plan.states) waiting += await ledger.count({ scope: plan.reader, kind: state.kinds.work })
  return {
    reader: plan.reader,
    backlog: oldest ? head - oldest.position + 1 : 0,
    oldestMs: oldest ? Math.max(0, nowMs - oldest.time) : 0,
    waiting,
    dead: await ledger.count({ scope: plan.reader, kind: deadKind }),
    partitionsHeld: reader.leases.size,
    openBreakers: open.map((state) => state.reaction.name),
  }
}
