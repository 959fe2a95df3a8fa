/**
 * Where reactions start. The first app that runs a reaction writes it down; whoever runs it later goes on from there.
 * A reaction that is added to a service which has already handled events gets a reader of its own when it starts from
 * the beginning, so that the others do not wait for it.
 */
import { QuadrilleError } from '../base/index.ts'
import type { Ledger, LedgerRecord, LedgerTx } from '../ledger/index.ts'
import { emitsOf, triggersOf, type AnyService, type Reaction } from '../service/index.ts'
import { reactionState, readerPlan, type ReactionState, type ReaderPlan } from './plan.ts'
import type { Settings } from './settings.ts'

interface Registered {
  readonly reader: 'service' | 'own'
  /** Events up to here are none of its business. */
  readonly since: number
  /** Events up to here are older than the reaction. */
  readonly replayUntil: number
}

/** The kind of the records of reactions, by service and name. */
export const reactionKind = 'reaction'
const reactionsMax = 10_000

/**
 * Writes down the reactions of a service that are new, and puts its readers together.
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
    const known = await loadKnown(tx, service)
    const fresh = known.size === 0
    const puts: LedgerRecord[] = []
    for (const reaction of service.reactions) {
      if (known.has(reaction.name)) continue
      const started = await startOf(reaction, { ledger, head, fresh })
      known.set(reaction.name, started)
      puts.push(record(service, reaction, started))
    }
    if (puts.length > 0) await tx.save(puts)
    return known
  })
  return plansOf(service, settings, registered)
}

async function loadKnown(tx: LedgerTx, service: AnyService): Promise<Map<string, Registered>> {
  const records = await tx.query({ scope: service.name, kind: reactionKind, limit: reactionsMax })
  return new Map(records.map((each) => [each.id, JSON.parse(each.body) as Registered]))
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
  if (head === 0) return { reader: 'service', since: 0, replayUntil: 0 }
  if (reaction.from === undefined) {
    const types = [...new Set(triggersOf(reaction).map(({ trigger }) => trigger.type))]
    const page = await ledger.read({ after: 0, limit: 1, types })
    if (page.events.length === 0) return { reader: 'service', since: 0, replayUntil: 0 }
    const details = { service: reaction.service, reaction: reaction.name, events: head }
    throw new QuadrilleError('START_POSITION_NEEDED', details)
  }
  if (reaction.from === 'now') return { reader: 'service', since: head, replayUntil: 0 }
  const why = outsideEffect(reaction)
  if (why !== null && !reaction.replay)
    throw new QuadrilleError('REPLAY_NEEDS_OPT_IN', { service: reaction.service, reaction: reaction.name, why })
  return { reader: fresh ? 'service' : 'own', since: 0, replayUntil: head }
}

/** What repeating old events would repeat beyond the service's own tables; null for nothing. */
function outsideEffect(reaction: Reaction): string | null {
  if (reaction.kind === 'on' && (reaction.call || reaction.undo?.call)) return 'calls'
  if (reaction.kind === 'deadline') return 'deadlines'
  return emitsOf(reaction).length > 0 ? 'events' : null
}

function record(service: AnyService, reaction: Reaction, started: Registered): LedgerRecord {
  return {
    scope: service.name,
    kind: reactionKind,
    id: reaction.name,
    partition: -1,
    lane: null,
    seq: 0,
    due: null,
    expires: null,
    body: JSON.stringify(started),
  }
}
