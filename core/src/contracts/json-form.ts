/** What JSON makes of a value, so that a contract validates what its readers will see. */
import { invalid, kindOf, type SchemaPlace } from './schema-check.ts'

/** Deeper values are left to JSON itself, which knows circles when it meets them. */
const depthMax = 100

/** Where a value holds something that JSON does not carry as it is. */
export interface JsonFlaw {
  /** The fields that lead there; none for the value itself. */
  readonly path: readonly string[]
  readonly value: unknown
}

/**
 * The first part of the value that JSON does not carry as it is, or that is more than 100 levels deep; undefined when
 * there is none. A property that is undefined counts as absent.
 */
export function jsonFlaw(value: unknown, depth = 0): JsonFlaw | undefined {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return undefined
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : { path: [], value }
  if (typeof value !== 'object' || depth > depthMax) return { path: [], value }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const flaw = jsonFlaw(value[i], depth + 1)
      if (flaw) return within(String(i), flaw)
    }
    return undefined
  }
  if (!isPlain(value) || 'toJSON' in value) return { path: [], value }
  for (const field in value) {
    const inner = (value as Record<string, unknown>)[field]
    const flaw = inner === undefined ? undefined : jsonFlaw(inner, depth + 1)
    if (flaw) return within(field, flaw)
  }
  return undefined
}

const within = (field: string, { path, value }: JsonFlaw): JsonFlaw => ({ path: [field, ...path], value })

/** No instance of a class. Test runners give each file an Object of its own, so it is not told by identity. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null
}

/** A flaw in words: `a Response`, `charge.at is a Date`. */
export function flawText({ path, value }: JsonFlaw): string {
  if (path.length > depthMax) return `it is more than ${depthMax} levels deep, or a circle`
  return path.length === 0 ? kindOf(value) : `${path.join('.')} is ${kindOf(value)}`
}

/**
 * The value as JSON carries it: itself when nothing changes, otherwise a copy in which a Date is a string, an instance
 * of a class a plain object, and NaN null.
 *
 * @throws QuadrilleError `EVENT_INVALID` when JSON can not carry it at all: a bigint, a circle, or nothing.
 */
export function jsonForm(place: SchemaPlace, value: unknown): unknown {
  const flaw = jsonFlaw(value)
  if (flaw === undefined) return value
  try {
    return JSON.parse(JSON.stringify(value)) as unknown
  } catch (error) {
    const isBig = typeof flaw.value === 'bigint'
    const why = isBig ? 'a bigint' : value === undefined ? 'undefined' : (error as Error).message.split('\n')[0]
    const issues = [{ path: isBig ? flaw.path.join('.') : '', message: `is not JSON: ${why}` }]
    throw invalid(place, { issues, value: isBig ? flaw.value : value, cause: error })
  }
}
