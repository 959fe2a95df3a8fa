/**
 * What a ledger knows of the reactions that work on it, written by whoever starts them: where each began, and what of its
 * declaration is needed to tell elsewhere which events it concerns. Schemas and filters are code, and stay in the process.
 */
import type { Pattern } from '../contracts/index.ts'
import type { Ledger } from '../ledger/index.ts'
import { triggersOf, type Reaction, type TriggerRole } from '../service/index.ts'

/** The kind of the records of reactions, by service and name. */
export const reactionKind = 'reaction'
/** How many reactions of a service are looked at. */
const reactionsMax = 10_000
/** A declaration that is longer, as JSON, is not kept: elsewhere its reaction is not shown in flows. */
const declaredCharsMax = 16_384

/** An event type that a reaction listens to. */
export interface DeclaredTrigger {
  readonly role: TriggerRole
  readonly index: number
  readonly type: string
  /** The latest version that was known; the pattern is about its data. */
  readonly version: number
  readonly pattern?: Pattern | undefined
}

/** A declaration as far as it is data. */
export interface Declared {
  /** Its place among the reactions of its service. */
  readonly at: number
  readonly triggers: readonly DeclaredTrigger[]
  /** True when a function decides, too. */
  readonly filtered?: true | undefined
  /** Where events wait that are not handled one by one. */
  readonly collects?: 'batch' | 'coalesce' | undefined
}

/** The body of the record of a reaction. */
export interface Registered {
  readonly reader: 'service' | 'own'
  /** Events up to here are none of its business. */
  readonly since: number
  /** Events up to here are older than the reaction. */
  readonly replayUntil: number
  /** Missing when it was written by an older version, or is too long. */
  readonly declared?: Declared | undefined
  /** The end of the log when a process started the service without it: what came later, it may not have been told. */
  readonly until?: number | undefined
  /** With `until`: when a process last said that it runs the reaction all the same, as during a release. */
  readonly seenMs?: number | undefined
}

/** The reader of a reaction: that of its service, or its own. */
export const readerOf = (service: string, reaction: string, { reader }: Pick<Registered, 'reader'>): string =>
  reader === 'service' ? service : `${service}/${reaction}`

/** What {@link readerOf} has put together; for the reader of a wire the scope of all relays, and the wire. No scope has a slash. */
export function partsOf(reader: string): { readonly scope: string; readonly name: string | null } {
  const slash = reader.indexOf('/')
  if (slash === -1) return { scope: reader, name: null }
  return { scope: reader.slice(0, slash), name: reader.slice(slash + 1) }
}

/** No release takes longer, in which two versions of a service run. */
const goneAfterMs = 24 * 60 * 60_000

/** True when its service no longer has the reaction, and nobody has said for a day that it runs. */
export const isGone = ({ until, seenMs = 0 }: Registered, nowMs: number): boolean =>
  until !== undefined && nowMs - seenMs > goneAfterMs

/** What a reaction is said to be from now on when its service is no more: gone, without a day to wait. */
export const retired = (head: number, nowMs: number): Required<Pick<Registered, 'until' | 'seenMs'>> => ({
  until: head,
  seenMs: nowMs - goneAfterMs - 1,
})

/** All readers of a ledger, and the reactions that it knows, by service and name. */
export interface Known {
  readonly readers: readonly string[]
  readonly reactions: ReadonlyMap<string, ReadonlyMap<string, Registered>>
}

/** Asks once for each service; not for those that are known already. */
export async function knownIn(ledger: Ledger, already: Known['reactions'] = new Map()): Promise<Known> {
  const readers = await ledger.readers()
  const reactions = new Map(already)
  for (const scope of new Set(readers.map((reader) => partsOf(reader).scope)))
    if (!reactions.has(scope)) reactions.set(scope, await registeredIn(ledger, scope))
  return { readers, reactions }
}

/**
 * True for a reader whose reactions are all gone, and for that of a wire that was retired: nobody will handle anything for
 * it, and it must not keep the ledger from forgetting.
 */
export function isLeft(reader: string, { reactions }: Known, nowMs: number): boolean {
  const { scope } = partsOf(reader)
  const its = [...(reactions.get(scope) ?? [])].filter(([name, each]) => readerOf(scope, name, each) === reader)
  return its.length > 0 && its.every(([, each]) => isGone(each, nowMs))
}

/** The event types of the reactions that some version of the service still has. */
export function declaredTypes(registered: ReadonlyMap<string, Registered>, nowMs: number): ReadonlySet<string> {
  const running = [...registered.values()].filter((each) => !isGone(each, nowMs))
  return new Set(running.flatMap(({ declared }) => (declared?.triggers ?? []).map(({ type }) => type)))
}

/** What of a reaction is data. */
export function declarationOf(reaction: Reaction, at: number): Declared {
  const on = reaction.kind === 'on' ? reaction : undefined
  const triggers = triggersOf(reaction).map(({ role, index, trigger }) => {
    const { type, contract, pattern } = trigger
    return { role, index, type, version: contract.latest, pattern: pattern as Pattern | undefined }
  })
  const filtered = on?.filter === undefined ? undefined : true
  const collects = on?.batch ? 'batch' : on?.coalesce ? 'coalesce' : undefined
  return { at, triggers, filtered, collects }
}

/** The same as the ledger keeps it; undefined when it is too long. */
export function keptDeclaration(reaction: Reaction, at: number): Declared | undefined {
  const declared = declarationOf(reaction, at)
  return JSON.stringify(declared).length <= declaredCharsMax ? declared : undefined
}

/** The reactions of a service as the ledger knows them, by name. */
export async function registeredIn(
  ledger: Pick<Ledger, 'query'>,
  service: string,
): Promise<ReadonlyMap<string, Registered>> {
  const records = await ledger.query({ scope: service, kind: reactionKind, limit: reactionsMax })
  return new Map(records.map(({ id, body }) => [id, JSON.parse(body) as Registered]))
}
