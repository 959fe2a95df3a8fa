/** Which dead letters are meant. A name that is written wrongly, or has no value, must not mean "all of them". */
import type { DeadLetterFilter } from './app.ts'
import type { DeadBody } from './failure-step.ts'
import { refuseOption, refuseUnknown } from '../base/index.ts'

const conditions = {
  id: (_body, id) => id,
  service: ({ service }) => service,
  reaction: ({ reaction }) => reaction,
  type: ({ event }) => event?.type,
  key: ({ event }) => event?.key,
  code: ({ code }) => code,
} as const satisfies Record<keyof DeadLetterFilter, (body: DeadBody, id: string) => string | undefined>

/** True when all conditions that are given hold. */
export function isMatch(filter: DeadLetterFilter, id: string, body: DeadBody): boolean {
  for (const name of Object.keys(conditions) as (keyof DeadLetterFilter)[])
    if (filter[name] !== undefined && filter[name] !== conditions[name](body, id)) return false
  return true
}

const names = Object.fromEntries(Object.keys(conditions).map((name) => [name, true])) as Record<
  keyof DeadLetterFilter,
  true
>

/** @throws QuadrilleError `OPTION_INVALID` for anything but an object of conditions, and perhaps a `limit`. */
export function checkListing(operation: string, filter: DeadLetterFilter & { readonly limit?: number }): void {
  refuseUnknown(filter, { ...names, limit: true }, { of: operation, path: 'filter' })
}

/**
 * Checks what an operation changes.
 *
 * @throws QuadrilleError `OPTION_INVALID` for anything but an object of conditions, each with a text.
 */
export function checkFilter(operation: string, filter: DeadLetterFilter): void {
  refuseUnknown(filter, names, { of: operation, path: 'filter' })
  for (const [name, value] of Object.entries(filter))
    if (typeof value !== 'string')
      refuseOption(value, `filter.${name} of ${operation}`, 'a text; leave it out to mean all')
}
