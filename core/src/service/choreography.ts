/** The dance as a whole: which services, what starts it and how it may end. For drawing, checking, simulating, waiting. */
import { durationMs, QuadrilleError, type Duration } from '../base/index.ts'
import type { AnyPattern } from '../contracts/index.ts'
import type { ServiceDescription } from './describe.ts'
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
}

/** A choreography as data. */
export interface ChoreographyDescription {
  readonly name: string
  readonly services: readonly ServiceDescription[]
  /** Event types; the patterns of narrowed starts and ends are in {@link Choreography}. */
  readonly starts: readonly string[]
  readonly ends: { readonly success: readonly string[]; readonly failure: readonly string[] }
  readonly withinMs: number | null
}

/** A declared choreography. Made by {@link choreography}. */
export interface Choreography {
  readonly name: string
  readonly services: readonly AnyService[]
  readonly starts: readonly AnyPattern[]
  readonly ends: { readonly success: readonly AnyPattern[]; readonly failure: readonly AnyPattern[] }
  readonly withinMs: number | null
  /** The whole choreography as plain data. */
  describe(): ChoreographyDescription
}

/**
 * Declares a choreography. Running does not need it; drawing, checking, simulating and `app.outcome()` do.
 *
 * @throws QuadrilleError `CHOREOGRAPHY_INVALID` without services, starts or successful ends, when two services have one
 *   name, or when a start or an end is not a contract or pattern; `DURATION_INVALID`.
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
  const types = (patterns: readonly AnyPattern[]) => patterns.map((pattern) => pattern.type)
  return {
    name,
    services,
    starts,
    ends: { success: ends.success, failure },
    withinMs,
    describe: () => ({
      name,
      services: services.map((service) => service.describe()),
      starts: types(starts),
      ends: { success: types(ends.success), failure: types(failure) },
      withinMs,
    }),
  }
}
