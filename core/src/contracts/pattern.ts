/** Patterns over event data: plain values to be equal to, so that they can be checked, drawn and pushed to brokers. */
import { QuadrilleError } from '../base/errors.ts'

/** A value to be equal to, or an object of patterns. */
export type PatternValue = string | number | boolean | null | Pattern

/** Field names and what they must be. */
export interface Pattern {
  readonly [field: string]: PatternValue
}

/**
 * A frozen copy of the pattern, once it is sure that it is one.
 *
 * @throws QuadrilleError `CONTRACT_INVALID` when it holds anything but strings, finite numbers, booleans, null and
 *   objects of these.
 */
export function checkedPattern(type: string, pattern: Pattern, path = ''): Pattern {
  const fail = (at: string, what: string): never => {
    throw new QuadrilleError('CONTRACT_INVALID', { type, problem: `the pattern ${at ? `at ${at} ` : ''}is ${what}` })
  }
  if (typeof pattern !== 'object' || pattern === null) fail(path, 'not an object')
  const entries = Object.entries(pattern).map(([field, wanted]): [string, PatternValue] => {
    const at = path + field
    if (typeof wanted === 'object' && wanted !== null) {
      const prototype: unknown = Object.getPrototypeOf(wanted)
      if (prototype !== Object.prototype && prototype !== null) fail(at, 'not a plain object')
      return [field, checkedPattern(type, wanted, `${at}.`)]
    }
    if (typeof wanted === 'number' && !Number.isFinite(wanted)) fail(at, String(wanted))
    if (wanted !== null && !['string', 'number', 'boolean'].includes(typeof wanted)) fail(at, `a ${typeof wanted}`)
    return [field, wanted]
  })
  return Object.freeze(Object.fromEntries(entries))
}

/** True when every field of the pattern is equal in `data`; nested objects are compared field by field. */
export function matchesPattern(pattern: Pattern, data: unknown): boolean {
  if (typeof data !== 'object' || data === null) return false
  for (const field in pattern) {
    const wanted = pattern[field]!
    const actual = (data as Record<string, unknown>)[field]
    if (typeof wanted === 'object' && wanted !== null) {
      if (!matchesPattern(wanted, actual)) return false
    } else if (actual !== wanted) return false
  }
  return true
}

/** The pattern as short text: `status=failed,card.kind=debit`. */
export function patternText(pattern: Pattern, prefix = ''): string {
  return Object.entries(pattern)
    .map(([field, wanted]) =>
      typeof wanted === 'object' && wanted !== null
        ? patternText(wanted, `${prefix}${field}.`)
        : `${prefix}${field}=${String(wanted)}`,
    )
    .join(',')
}
