/**
 * Where reactions start. The first app that runs a reaction writes it down; whoever runs it later goes on from there.
 *
 * A reaction that is added to a service that has run before gets a reader of its own. During a release processes of the
 * old version still hold partitions of the service, and would pass over what only the new reaction wants; of its reader
 * they know nothing. And when it starts from the beginning, the others do not wait for it.
 */
import { QuadrilleError } from '../base/index.ts'
import type { Ledger, LedgerRecord } from '../ledger/index.ts'
import { emitsOf, triggersOf, type AnyService, type Reaction } from '../service/index.ts'
import { isGone, keptDeclaration, reactionKind, registeredIn, type Known, type Registered } from './declared.ts'
import { firstEvent } from './first-event.ts'
import { reactionState, readerPlan, type ReactionState, type ReaderPlan } from './plan.ts'
import type { Settings } from './settings.ts'

/**
 * Writes down the reactions of a service that are new or declared anew, and puts its readers together. A reaction that the
 * service no longer has keeps its place: another version of the service may still run, or come back.
 *
 * @throws QuadrilleError `START_POSITION_NEEDED` or `REPLAY_NEEDS_OPT_IN`; nothing was written then.
 */
export async function registerService(
  service: AnyService,
  ledger: Ledger,
  settings: Settings,
): Promise<readonly ReaderPlan[]> {
  const head = (await ledger.health()).head
  const registered = await ledger.transact(async (tx) => {
    const known = await registeredIn(tx, service.name)
    const all = new Map<string, Registered>()
    const seenMs = settings.env.now()
    for (const [at, reaction] of service.reactions.entries()) {
      const before = known.get(reaction.name)
      // For one that was gone nothing has been kept meanwhile, so it begins again.
      const isRunning = before !== undefined && !isGone(before, seenMs)
      const begin = isRunning ? before : await startOf(reaction, { ledger, head, fresh: known.size === 0 })
      const { since, replayUntil } = begin
      const { reader } = before ?? begin
      all.set(reaction.name, { reader, since, replayUntil, declared: keptDeclaration(reaction, at) })
    }
    for (const [name, before] of known)
      if (!all.has(name)) all.set(name, before.until === undefined ? { ...before, until: head, seenMs } : before)
    const isNew = ([name, now]: [string, Registered]) => JSON.stringify(now) !== JSON.stringify(known.get(name))
    const puts = [...all].filter(isNew).map(([name, now]) => reactionRecord(service.name, name, now))
    if (puts.length > 0) await tx.save(puts)
    return all
  })
  return plansOf(service, settings, registered)
}

/**
 * Says of reactions that another version of their service does not have that they run here: their readers count. Returns
 * what is known of the services then.
 */
export async function sayRunning(
  services: readonly AnyService[],
  ledger: Ledger,
  nowMs: number,
): Promise<Known['reactions']> {
  const reactions = new Map<string, ReadonlyMap<string, Registered>>()
  for (const service of services) {
    const known = new Map(await registeredIn(ledger, service.name))
    const doubted = service.reactions.filter(({ name }) => known.get(name)?.until !== undefined)
    for (const { name } of doubted) known.set(name, { ...known.get(name)!, seenMs: nowMs })
    const puts = doubted.map(({ name }) => reactionRecord(service.name, name, known.get(name)!))
    if (puts.length > 0) await ledger.transact((tx) => tx.save(puts))
    reactions.set(service.name, known)
  }
  return reactions
}

function plansOf(
  service: AnyService,
  settings: Settings,
  registered: ReadonlyMap<string, Registered>,
): readonly ReaderPlan[] {
  const shared: ReactionState[] = []
  const plans: ReaderPlan[] = []
  for (const reaction of service.reactions) {
    const { reader, since, replayUntil } = registered.get(reaction.name)!
    const state = Object.assign(reactionState(reaction, service, settings), { since, replayUntil })
    if (reader === 'service') shared.push(state)
    else plans.push(readerPlan(`${service.name}/${reaction.name}`, service, [state]))
  }
  return shared.length > 0 ? [readerPlan(service.name, service, shared), ...plans] : plans
}

async function startOf(
  reaction: Reaction,
  at: { readonly ledger: Ledger; readonly head: number; readonly fresh: boolean },
): Promise<Registered> {
  const { ledger, head, fresh } = at
  const reader = fresh ? 'service' : 'own'
  if (head === 0) return { reader, since: 0, replayUntil: 0 }
  if (reaction.from === undefined) {
    const types = [...new Set(triggersOf(reaction).map(({ trigger }) => trigger.type))]
    if ((await firstEvent(ledger, { after: 0, types })) === undefined) return { reader, since: 0, replayUntil: 0 }
    const details = { service: reaction.service, reaction: reaction.name, events: head }
    throw new QuadrilleError('START_POSITION_NEEDED', details)
  }
  if (reaction.from === 'now') return { reader, since: head, replayUntil: 0 }
  const why = outsideEffect(reaction)
  if (why !== null && !reaction.replay)
    throw new QuadrilleError('REPLAY_NEEDS_OPT_IN', { service: reaction.service, reaction: reaction.name, why })
  return { reader, since: 0, replayUntil: head }
}

/** What repeating old events would repeat beyond the service's own tables; null for nothing. */
function outsideEffect(reaction: Reaction): string | null {
  if (reaction.kind === 'on' && (reaction.call || reaction.undo?.call)) return 'calls'
  if (reaction.kind === 'deadline') return 'deadlines'
  return emitsOf(reaction).length > 0 ? 'events' : null
}

/** What the ledger keeps of a reaction; `scope` is its service. */
export function reactionRecord(scope: string, id: string, registered: Registered): LedgerRecord {
  return {
    scope,
    kind: reactionKind,
    id,
    partition: -1,
    lane: null,
    seq: 0,
    due: null,
    expires: null,
    body: JSON.stringify(registered),
  }
}
