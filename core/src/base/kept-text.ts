/**
 * Texts that name something: ids, keys, conversations. Every ledger and broker on an event's way must be able to keep them, find
 * by them and give them back unchanged; one that can not would hold up all others.
 */

/** How long an id may be, in UTF-16 units. */
export const idCharsMax = 200
/** How long a key, a conversation, a source and the like may be, in UTF-16 units: an index of PostgreSQL takes 2,704 bytes. */
export const nameCharsMax = 500
/** The greatest version and number of hops: more does not go into an int of PostgreSQL. */
export const numberMax = 2 ** 31 - 1

/** Why it can not be such a text, to follow its name; undefined when it can. */
export function textProblem(value: unknown, charsMax: number): string | undefined {
  if (typeof value !== 'string' || value === '') return 'is not a non-empty string'
  if (value.length > charsMax) return `is longer than ${charsMax} characters`
  if (value.includes('\u0000')) return 'contains a NUL character'
  // Half of a surrogate pair has no form in UTF-8: it would come back as another text.
  return value.isWellFormed() ? undefined : 'is not well-formed Unicode'
}
