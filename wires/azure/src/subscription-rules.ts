/**
 * Subscribed types as rules of a subscription. Any rule lets a message in, so rules are added and never taken away: during
 * a deployment old and new processes share a subscription, and what comes too much is dropped by the ledger.
 */
import { createHash } from 'node:crypto'
import type { CorrelationRuleFilter, SqlRuleFilter } from '@azure/service-bus'
import type { Pattern, SubscribedType } from 'quadrille'
import { propertyOf } from './service-bus-message.ts'

/** A rule that must be there. */
export interface WantedRule {
  readonly name: string
  readonly filter: CorrelationRuleFilter | SqlRuleFilter
}

/** The leaves of a pattern by path; null when one of them can not be compared by Service Bus. */
function leavesOf(pattern: Pattern, fields: ReadonlySet<string>, prefix = ''): [string, string][] | null {
  const leaves: [string, string][] = []
  for (const [field, value] of Object.entries(pattern)) {
    // It would look like a path, and senders take it for one.
    if (field.includes('.')) return null
    const path = prefix + field
    if (typeof value === 'object' && value !== null) {
      const inner = leavesOf(value, fields, `${path}.`)
      if (inner === null) return null
      leaves.push(...inner)
    } else if (value === null || !fields.has(path)) return null
    else leaves.push([propertyOf(path), String(value)])
  }
  return leaves
}

const nameCharsMax = 50
/** What Service Bus takes of a filter. */
const sqlCharsMax = 1_024
/** What XML does not carry, or changes on the way. */
const notInXml = /\p{C}/u

const textIn = (text: string): string => `'${text.replaceAll("'", "''")}'`

/** A sender with other `fields`, or none, does not say the value: what it sends is let in, and left to the ledger. */
function comparison([property, value]: readonly [string, string]): string {
  const quoted = `[${property.replaceAll(']', ']]')}]`
  return `(${quoted} = ${textIn(value)} OR NOT EXISTS(${quoted}))`
}

/** The filter for a pattern of a type; null when Service Bus would not take it, or it lets everything in. */
function sqlFor(type: string, pattern: Pattern, fields: ReadonlySet<string>): string | null {
  const leaves = leavesOf(pattern, fields)
  if (leaves === null || leaves.length === 0) return null
  const inOrder = leaves.toSorted(([one], [other]) => (one < other ? -1 : 1))
  const sql = [`sys.Label = ${textIn(type)}`, ...inOrder.map(comparison)].join(' AND ')
  return sql.length > sqlCharsMax || notInXml.test(sql) ? null : sql
}

/** A rule whose name says what it is for, and is another one for another filter. */
function ruleNamed(type: string, sql: string | null): WantedRule {
  const hash = createHash('sha256')
    .update(JSON.stringify([type, sql ?? {}]))
    .digest('hex')
    .slice(0, 12)
  const readable = type.replace(/[^A-Za-z0-9._-]/g, '_').slice(0, nameCharsMax - hash.length - 1)
  return { name: `${readable}-${hash}`, filter: sql === null ? { subject: type } : { sqlExpression: sql } }
}

/** The rules for what a service wants. A pattern on fields that are not sent along lets its whole type in. */
export function rulesFor(types: readonly SubscribedType[], fields: readonly string[]): WantedRule[] {
  const known = new Set(fields)
  return types.flatMap(({ type, patterns }) => {
    const each = patterns?.map((pattern) => sqlFor(type, pattern, known)) ?? []
    return each.length === 0 || each.includes(null) ? [ruleNamed(type, null)] : each.map((sql) => ruleNamed(type, sql))
  })
}
