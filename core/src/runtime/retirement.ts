/**
 * Services and wires that are no more. A ledger keeps what one of its readers has still to handle, and can not know that
 * nobody will start that reader again: somebody has to say so.
 *
 *     running --stopped everywhere--> stopped --retire()--> retired --started again, saying `from`--> running
 *                                                              (a wire: not under its name)
 */
import { QuadrilleError } from '../base/index.ts'
import { partitionCount } from '../contracts/index.ts'
import type { Claim, Ledger, LedgerTx } from '../ledger/index.ts'
import type { Retired, RetireTarget } from './app.ts'
import { deadKind, waitingKinds } from './record-kinds.ts'
import { isLeft, knownIn, partsOf, readerOf, registeredIn, retired, type Registered } from './declared.ts'
import { firstEvent } from './first-event.ts'
import { reactionRecord } from './registration.ts'
import type { Settings } from './settings.ts'
import { parkedKind } from './wires/relay-records.ts'
import { relayReader, relayScope } from './wires/relay-names.ts'

/** What retiring needs. */
export interface RetirementContext {
  readonly ledger: Ledger
  readonly settings: Settings
  /** Readers that run in this process. */
  readonly running: () => readonly string[]
  readonly transaction: (operation: string, work: (tx: LedgerTx) => Promise<void>) => Promise<void>
}

/** What is to be retired, as the ledger has it: records by scope and name, and the readers that they belong to. */
interface Found {
  readonly what: string
  readonly scope: string
  readonly reactions: ReadonlyMap<string, Registered>
  readonly readers: readonly string[]
}

/** See {@link App.retire}. */
export async function retire(target: RetireTarget, context: RetirementContext): Promise<Retired> {
  const { ledger, settings, running, transaction } = context
  const found = await foundOf(target, ledger)
  const { what, scope, readers } = found
  if (readers.some((reader) => running().includes(reader))) refuse(what, 'it runs in this app')
  const claims: Claim[] = []
  try {
    for (const reader of readers) claims.push(await takeAll({ reader, what }, context))
    const { head } = await ledger.health()
    await transaction('retire()', async (tx) => {
      for (const claim of claims) await tx.hold(claim)
      const gone = retired(head, settings.env.now())
      await tx.save([...found.reactions].map(([name, before]) => reactionRecord(scope, name, { ...before, ...gone })))
    })
  } finally {
    for (const { reader, owner } of claims)
      await ledger.lease({ reader, owner, leaseMs: settings.leaseMs, release: 'all' })
  }
  return { readers, ...(await leftOf(found, ledger)) }
}

function refuse(what: string, problem: string): never {
  throw new QuadrilleError('RETIRE_REFUSED', { what, problem })
}

function foundOf(target: Partial<Record<'service' | 'wire', unknown>>, ledger: Ledger): Promise<Found> {
  const { service, wire } = target
  if (typeof service === 'string' && wire === undefined) return serviceOf(service, ledger)
  if (typeof wire === 'string' && service === undefined) return wireOf(wire, ledger)
  const expected = "{ service: 'its name' } or { wire: 'its name' }"
  throw new QuadrilleError('OPTION_INVALID', { option: 'retire()', value: JSON.stringify(target), expected })
}

async function serviceOf(service: string, ledger: Ledger): Promise<Found> {
  const reactions = await registeredIn(ledger, service)
  if (reactions.size === 0) refuse(`service ${service}`, await unknown('service', ledger))
  const readers = new Set([...reactions].map(([name, each]) => readerOf(service, name, each)))
  return { what: `service ${service}`, scope: service, reactions, readers: [...readers] }
}

async function wireOf(wire: string, ledger: Ledger): Promise<Found> {
  const reader = relayReader(wire)
  if ((await ledger.positions(reader)).length === 0) refuse(`wire ${wire}`, await unknown('wire', ledger))
  const reactions = new Map<string, Registered>([[wire, { reader: 'own', since: 0, replayUntil: 0 }]])
  return { what: `wire ${wire}`, scope: relayScope, reactions, readers: [reader] }
}

async function unknown(kind: 'service' | 'wire', ledger: Ledger): Promise<string> {
  const readers = await ledger.readers()
  const names = readers.flatMap((reader) => {
    const { scope, name } = partsOf(reader)
    if (kind === 'wire') return scope === relayScope ? [name] : []
    return scope.startsWith('~') ? [] : [scope]
  })
  return `no ${kind} of that name has worked on this ledger (known: ${[...new Set(names)].join(', ') || 'none'})`
}

/** All partitions of a reader: nobody else has any, and gets one while they are held. */
async function takeAll(
  { reader, what }: { readonly reader: string; readonly what: string },
  { ledger, settings: { instance, leaseMs } }: RetirementContext,
): Promise<Claim> {
  const owner = `${instance}/retire`
  const { leases } = await ledger.lease({ reader, owner, leaseMs })
  if (leases.length < partitionCount) {
    await ledger.lease({ reader, owner, leaseMs, release: 'all' })
    refuse(what, 'another process runs it, or one has ended without giving its partitions back, less than a lease ago')
  }
  return { reader, owner, epochs: new Map(leases.map(({ partition, epoch }) => [partition, epoch])) }
}

/** What stays in the ledger: it goes on when the service comes back. */
async function leftOf(found: Found, ledger: Ledger): Promise<Pick<Retired, 'waiting' | 'deadLetters'>> {
  let [waiting, deadLetters] = [0, 0]
  const reactionsOf = (reader: string) =>
    [...found.reactions].filter(([name, each]) => readerOf(found.scope, name, each) === reader).map(([name]) => name)
  for (const reader of found.readers) {
    deadLetters += await ledger.count({ scope: reader, kind: deadKind })
    const kinds = reactionsOf(reader).flatMap((name) => Object.values(waitingKinds(name)))
    for (const kind of found.scope === relayScope ? [parkedKind] : kinds)
      waiting += await ledger.count({ scope: reader, kind })
  }
  return { waiting, deadLetters }
}

/** A reader that does not run here and has left an event unhandled for longer than events are kept, in words; for each of them. */
export async function keepers(
  ledger: Ledger,
  { settings, running }: Pick<RetirementContext, 'settings' | 'running'>,
): Promise<readonly string[]> {
  const nowMs = settings.env.now()
  const here = new Set(running())
  const problems: string[] = []
  const known = await knownIn(ledger)
  for (const reader of known.readers) {
    if (here.has(reader) || isLeft(reader, known, nowMs)) continue
    const after = Math.min(...(await ledger.positions(reader)))
    const since = (await firstEvent(ledger, { after }))?.time
    if (since === undefined || nowMs - since <= settings.retention.eventsMs) continue
    const { scope, name } = partsOf(reader)
    const call = scope === relayScope ? `{ wire: '${name}' }` : `{ service: '${scope}' }`
    problems.push(
      `${reader} has not handled an event of ${new Date(since).toISOString()}, and no later one is forgotten; if it is no more: app.retire(${call})`,
    )
  }
  return problems
}
