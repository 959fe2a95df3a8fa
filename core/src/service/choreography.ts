/** The dance as a whole: which services, what starts it and how it may end. For drawing, checking, simulating, waiting. */
import { durationMs, QuadrilleError, type Duration } from '../base/index.ts'
import type { AnyContract, AnyPattern } from '../contracts/index.ts'
import { describeTrigger, type ServiceDescription, type TriggerDescription } from './describe.ts'
import { callerPlace } from './place.ts'
import type { AnyService } from './service.ts'

/** What {@link choreography} takes. */
export interface ChoreographyOptions {
  readonly services: readonly AnyService[]
  /** The events that start a conversation. */
  readonly starts: readonly AnyPattern[]
  /** The events that end it, well or badly. */
  readonly ends: { readonly success: readonly AnyPattern[]; readonly failure?: readonly AnyPattern[] }
  /** By when an end must have come. */
  readonly within?: Duration
  /** Who else takes part, beyond these services: other teams, other systems, people. For drawing and checking. */
  readonly external?: readonly ExternalParty[]
}

/** Somebody outside of the declared services: another team's service, a system, a person. */
export interface ExternalParty {
  readonly name: string
  /** The events it listens to. */
  readonly consumes?: readonly AnyPattern[]
  /** The events it may emit: in answer to what it consumes, or of its own accord when it consumes nothing. */
  readonly emits?: readonly AnyContract[]
}

/** A choreography as data. */
export interface ChoreographyDescription {
  readonly name: string
  readonly services: readonly ServiceDescription[]
  readonly starts: readonly TriggerDescription[]
  readonly ends: { readonly success: readonly TriggerDescription[]; readonly failure: readonly TriggerDescription[] }
  readonly withinMs: number | null
  readonly external: readonly ExternalDescription[]
  /** `file:line` of the declaration. */
  readonly place: string
}

/** Somebody outside as data. */
export interface ExternalDescription {
  readonly name: string
  readonly consumes: readonly TriggerDescription[]
  readonly emits: readonly string[]
}

/** A declared choreography. Made by {@link choreography}. */
export interface Choreography {
  readonly name: string
  readonly services: readonly AnyService[]
  readonly starts: readonly AnyPattern[]
  readonly ends: { readonly success: readonly AnyPattern[]; readonly failure: readonly AnyPattern[] }
  readonly withinMs: number | null
  readonly external: readonly Required<ExternalParty>[]
  /** Where it was declared: `file:line`. */
  readonly place: string
  /** The whole choreography as plain data. */
  describe(): ChoreographyDescription
}

/**
 * Declares a choreography. Running does not need it; drawing, checking, simulating and `app.outcome()` do.
 *
 * @throws QuadrilleError `CHOREOGRAPHY_INVALID` without services, starts or successful ends, when two services have one
 *   name, or when a start, an end or what an external party knows is not a contract or pattern; `DURATION_INVALID`.
 */
export function choreography(name: string, options: ChoreographyOptions): Choreography {
  const { services, starts, ends } = options
  const fail = (problem: string): never => {
    throw new QuadrilleError('CHOREOGRAPHY_INVALID', { choreography: name, problem })
  }
  if (!/^[^\u0000-\u001f\u007f]{1,200}$/.test(name)) fail('its name must be 1 to 200 printable characters')
  if (services.length === 0) fail('it has no services')
  if (starts.length === 0) fail('it has no start')
  if (ends.success.length === 0) fail('it has no successful end')
  const names = services.map((service) => service.name)
  const twice = names.find((candidate, index) => names.indexOf(candidate) !== index)
  if (twice) fail(`two services are called ${twice}`)
  const failure = ends.failure ?? []
  for (const pattern of [...starts, ...ends.success, ...failure]) {
    if (typeof pattern?.contract?.key !== 'string') fail('a start or an end is not an event contract')
  }
  const withinMs = options.within === undefined ? null : durationMs(options.within, `within of ${name}`)
  const external = (options.external ?? []).map((party) => {
    const { consumes = [], emits = [] } = party
    if (typeof party.name !== 'string' || party.name === '') fail('an external party has no name')
    if (emits.some((contract) => (contract as AnyContract | undefined)?.contract !== contract))
      fail(`what ${party.name} emits must be contracts, not patterns or names`)
    if (consumes.some((pattern) => typeof pattern?.contract?.key !== 'string'))
      fail(`what ${party.name} consumes is not an event contract`)
    return { name: party.name, consumes, emits }
  })
  const place = callerPlace()
  const all = (patterns: readonly AnyPattern[]) => patterns.map(describeTrigger)
  return {
    name,
    services,
    starts,
    ends: { success: ends.success, failure },
    withinMs,
    external,
    place,
    describe: () => ({
      name,
      services: services.map((service) => service.describe()),
      starts: all(starts),
      ends: { success: all(ends.success), failure: all(failure) },
      withinMs,
      external: external.map(({ name: party, consumes, emits }) => ({
        name: party,
        consumes: all(consumes),
        emits: emits.map((contract) => contract.type),
      })),
      place,
    }),
  }
}
