/** What JSON makes of a value, so that a contract validates what its readers will see. */
import { invalid, type SchemaPlace } from './schema-check.ts'

/** Deeper values are left to JSON itself, which knows circles when it meets them. */
const depthMax = 100

/** True when JSON carries the value as it is; a property that is undefined counts as absent. */
function isJson(value: unknown, depth: number): boolean {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return true
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object' || depth > depthMax) return false
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) if (!isJson(value[i], depth + 1)) return false
    return true
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if ((prototype !== Object.prototype && prototype !== null) || 'toJSON' in value) return false
  for (const field in value) {
    const inner = (value as Record<string, unknown>)[field]
    if (inner !== undefined && !isJson(inner, depth + 1)) return false
  }
  return true
}

/**
 * The value as JSON carries it: itself when nothing changes, otherwise a copy in which a Date is a string, an instance
 * of a class a plain object, and NaN null.
 *
 * @throws QuadrilleError `EVENT_INVALID` when JSON can not carry it at all: a bigint, a circle, or nothing.
 */
export function jsonForm(place: SchemaPlace, value: unknown): unknown {
  if (isJson(value, 0)) return value
  try {
    return JSON.parse(JSON.stringify(value)) as unknown
  } catch (error) {
    const message = `is not JSON: ${value === undefined ? 'undefined' : (error as Error).message.split('\n')[0]}`
    throw invalid(place, { issues: [{ path: '', message }], value, cause: error })
  }
}
