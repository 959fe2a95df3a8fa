/** Which dead letters are meant. A name that is written wrongly, or has no value, must not mean "all of them". */
import { QuadrilleError } from '../base/index.ts'
import type { DeadLetterFilter } from './app.ts'
import type { DeadBody } from './failure-step.ts'

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

/**
 * Checks what an operation changes.
 *
 * @throws QuadrilleError `OPTION_INVALID` for anything but an object of known names, each with a text.
 */
export function checkFilter(operation: string, filter: unknown): void {
  checkNames(operation, filter, Object.keys(conditions))
  for (const [name, value] of Object.entries(filter as object))
    if (typeof value !== 'string') refuse(`${name} of ${operation}`, value, 'a text; leave it out to mean all')
}

/** @throws QuadrilleError `OPTION_INVALID` for anything but an object with none but these names. */
export function checkNames(operation: string, given: unknown, names: readonly string[]): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    refuse(operation, given, 'an object; {} for all dead letters')
  const wrong = Object.keys(given as object).find((name) => !names.includes(name))
  if (wrong !== undefined) refuse(operation, wrong, `one of ${names.join(', ')}`)
}

function refuse(option: string, value: unknown, expected: string): never {
  throw new QuadrilleError('OPTION_INVALID', {
    option,
    value: JSON.stringify(value) ?? String(value as undefined),
    expected,
  })
}
