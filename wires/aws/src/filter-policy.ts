/**
 * Patterns as filter policies of SNS, over the body of messages. A policy is only ever widened: during a deployment old
 * and new processes share a subscription, and one that is too wide costs a little, one that is too narrow loses events.
 */
import type { Pattern, PatternValue } from 'quadrille'

/** What SNS allows: field names in one policy, and the product of the numbers of their values. */
const keysMax = 5

/** A filter policy; null for none, which lets everything through. */
export type FilterPolicy = { readonly [field: string]: unknown } | null

type Branch = { readonly [field: string]: Branch | readonly [string | number | boolean | null] }

function branchOf(pattern: Pattern): Branch {
  const entries = Object.entries(pattern).map(([field, wanted]): [string, Branch[string]] => [
    field,
    isPattern(wanted) ? branchOf(wanted) : [wanted],
  ])
  return Object.fromEntries(entries)
}

const isPattern = (value: PatternValue): value is Pattern => typeof value === 'object' && value !== null

const leaves = (pattern: Pattern): PatternValue[] =>
  Object.values(pattern).flatMap((value) => (isPattern(value) ? leaves(value) : [value]))

/**
 * SNS compares numbers up to a thousand million, with five digits behind the point; `$or` is a word of its own, and a full
 * stop in a name could be taken for a path.
 */
function canPush(pattern: Pattern): boolean {
  return Object.entries(pattern).every(([field, value]) => {
    if (field.startsWith('$') || field.includes('.')) return false
    if (isPattern(value)) return Object.keys(value).length > 0 && canPush(value)
    // Null also means "is missing" to SNS, in some places: left to the ledger.
    if (value === null) return false
    return typeof value !== 'number' || (Math.abs(value) <= 1e9 && Number(value.toFixed(5)) === value)
  })
}

/** The policy for these patterns; null when there are none, or SNS can not apply them: then everything comes. */
export function policyOf(patterns: readonly Pattern[] | null): FilterPolicy {
  if (patterns === null || patterns.length === 0) return null
  const keys = patterns.flatMap(leaves).length
  if (keys === 0 || keys > keysMax || patterns.some((pattern) => leaves(pattern).length === 0)) return null
  if (!patterns.every(canPush)) return null
  const branches = patterns.map((pattern) => ({ data: branchOf(pattern) }))
  return branches.length === 1 ? branches[0]! : { $or: branches }
}

const branchesOf = (policy: Exclude<FilterPolicy, null>): readonly unknown[] =>
  Array.isArray(policy['$or']) ? (policy['$or'] as unknown[]) : [policy]

const keyCount = (value: unknown): number =>
  Array.isArray(value) || typeof value !== 'object' || value === null
    ? 1
    : Object.values(value).reduce((sum: number, each) => sum + keyCount(each), 0)

/** A policy that lets through what either lets through. */
export function widened(standing: FilterPolicy, wanted: FilterPolicy): FilterPolicy {
  if (standing === null || wanted === null) return null
  const branches = new Map([...branchesOf(standing), ...branchesOf(wanted)].map((one) => [JSON.stringify(one), one]))
  const all = [...branches.values()]
  if (all.reduce((sum: number, one) => sum + keyCount(one), 0) > keysMax) return null
  return all.length === 1 ? (all[0] as FilterPolicy) : { $or: all }
}

/** A policy as SNS tells it. */
export function parsedPolicy(text: string | undefined): FilterPolicy {
  if (text === undefined || text === '' || text === '{}') return null
  try {
    const value = JSON.parse(text) as unknown
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as FilterPolicy) : null
  } catch {
    return null
  }
}
