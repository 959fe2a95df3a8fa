/** Validation through Standard Schema, with errors that say where and what. */
import { QuadrilleError, isQuadrilleError, messageOf } from '../base/errors.ts'
import type { Issue } from '../base/error-catalogue.ts'
import type { StandardIssue, StandardResult, StandardSchema } from './standard-schema.ts'

/** Which schema of which contract is meant, for the error. */
export interface SchemaPlace {
  readonly type: string
  readonly version: number
  readonly schema: StandardSchema
}

const previewCharsMax = 200

/** A value as short text for an error message. */
export function preview(value: unknown): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch {
    text = undefined
  }
  text ??= typeof value === 'bigint' ? String(value) : kindOf(value)
  return text.length > previewCharsMax ? `${text.slice(0, previewCharsMax)}…` : text
}

/** What a value is, in words: `a Date`, `a bigint`, `NaN`. */
export function kindOf(value: unknown): string {
  if (typeof value === 'bigint' || typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`
  if (typeof value !== 'object' || value === null) return String(value)
  const { constructor } = value
  const name = typeof constructor === 'function' && constructor.name !== '' ? constructor.name : 'Object'
  if (name === 'Object') return 'toJSON' in value ? 'an object with toJSON' : 'an object'
  return `${/^[AEIOU]/.test(name) ? 'an' : 'a'} ${name}`
}

/**
 * Validates and returns what the schema makes of the value.
 *
 * @param given - What was handed in before JSON made the value of it; told where the two differ.
 * @throws QuadrilleError `EVENT_INVALID` with path and value, also when a refinement or transformation of the schema
 *   throws; `CONTRACT_INVALID` when the schema validates asynchronously: reading an event must not depend on anything
 *   but the event.
 */
export function checkValue(place: SchemaPlace, value: unknown, given: unknown = value): unknown {
  let result: StandardResult<unknown> | Promise<StandardResult<unknown>>
  try {
    result = place.schema['~standard'].validate(value)
  } catch (error) {
    const message = `the schema threw ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`
    throw invalid(place, { issues: [{ path: '', message }], value, cause: error })
  }
  if (!('issues' in result) || result.issues === undefined) {
    if ('value' in result) return result.value
    // Zod begins again asynchronously when a check throws, so both look the same from here.
    Promise.resolve(result).catch(() => {})
    const problem =
      `the schema of v${place.version} validates asynchronously, or one of its checks threw; ` +
      'the schema of an event must be synchronous'
    throw new QuadrilleError('CONTRACT_INVALID', { type: place.type, problem })
  }
  const found = Array.from(result.issues)
  throw invalid(place, {
    issues: found.map((issue) => issueOf(issue, value, given)),
    value: found.length === 1 ? valueAt(value, found[0]!) : value,
  })
}

interface Finding {
  readonly issues: readonly Issue[]
  readonly value: unknown
  readonly cause?: unknown
}

/** The error that says where a value does not match which schema. */
export function invalid(
  place: Pick<SchemaPlace, 'type' | 'version'>,
  finding: Finding,
): QuadrilleError<'EVENT_INVALID'> {
  const { type, version } = place
  return new QuadrilleError(
    'EVENT_INVALID',
    { type, version, issues: finding.issues, value: preview(finding.value) },
    finding.cause,
  )
}

const pathOf = (issue: StandardIssue): PropertyKey[] =>
  (issue.path ?? []).map((part) => (typeof part === 'object' ? part.key : part))

function issueOf(issue: StandardIssue, value: unknown, given: unknown): Issue {
  const [now, before] = [valueAt(value, issue), valueAt(given, issue)]
  // What is plain JSON is the same on both sides, or a copy of its kind.
  const told = kindOf(now) === kindOf(before) ? '' : jsonHint(now, before)
  return { path: pathOf(issue).map(String).join('.'), message: `${issue.message}${told}` }
}

/** What JSON has made of a value before the schema saw it. */
function jsonHint(now: unknown, before: unknown): string {
  const became = typeof now === 'string' ? 'a text' : now === undefined ? 'nothing' : preview(now)
  const instead =
    before instanceof Date ? '; in the schema use z.iso.datetime(), or z.coerce.date() to read a Date' : ''
  return ` (${kindOf(before)} was handed in, which becomes ${became} in JSON${instead})`
}

function valueAt(value: unknown, issue: StandardIssue): unknown {
  let at = value
  for (const part of pathOf(issue)) {
    if (typeof at !== 'object' || at === null) return at
    at = (at as Record<PropertyKey, unknown>)[part]
  }
  return at
}

/**
 * The JSON Schema (2020-12) of what the schema accepts.
 *
 * @throws QuadrilleError `JSON_SCHEMA_UNAVAILABLE` when the library has none, or can not express this schema.
 */
export function jsonSchemaOf(place: SchemaPlace): Record<string, unknown> {
  const { vendor, jsonSchema } = place.schema['~standard']
  const fail = (message: string, cause?: unknown): never => {
    throw new QuadrilleError(
      'JSON_SCHEMA_UNAVAILABLE',
      { type: place.type, version: place.version, vendor, message },
      cause,
    )
  }
  if (!jsonSchema) return fail('it does not offer the Standard JSON Schema interface')
  try {
    return jsonSchema.input({ target: 'draft-2020-12' })
  } catch (error) {
    if (isQuadrilleError(error)) throw error
    return fail(messageOf(error), error)
  }
}
