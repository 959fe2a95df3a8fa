/**
 * Subscribed types as rules of a subscription. Any rule lets a message in, so rules are added and never taken away: during
 * a deployment old and new processes share a subscription, and what comes too much is dropped by the ledger.
 */
import { createHash } from 'node:crypto'
import type { CorrelationRuleFilter } from '@azure/service-bus'
import type { Pattern, SubscribedType } from 'quadrille'
import { propertyOf } from './service-bus-message.ts'

/** A rule that must be there. */
export interface WantedRule {
  readonly name: string
  readonly filter: CorrelationRuleFilter
}

/** The leaves of a pattern by path; null when one of them can not be compared by Service Bus. */
function leavesOf(pattern: Pattern, fields: ReadonlySet<string>, prefix = ''): [string, string][] | null {
  const leaves: [string, string][] = []
  for (const [field, value] of Object.entries(pattern)) {
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

/** A name that says what the rule is for, and is another one for another filter. */
function ruleNamed(type: string, properties: Readonly<Record<string, string>>): WantedRule {
  const hash = createHash('sha256')
    .update(JSON.stringify([type, properties]))
    .digest('hex')
    .slice(0, 12)
  const readable = type.replace(/[^A-Za-z0-9._-]/g, '_').slice(0, nameCharsMax - hash.length - 1)
  const all = Object.keys(properties).length === 0
  return {
    name: `${readable}-${hash}`,
    filter: { subject: type, ...(all ? {} : { applicationProperties: { ...properties } }) },
  }
}

/** The rules for what a service wants. A pattern on fields that are not sent along lets its whole type in. */
export function rulesFor(types: readonly SubscribedType[], fields: readonly string[]): WantedRule[] {
  const known = new Set(fields)
  return types.flatMap(({ type, patterns }) => {
    const each = patterns?.map((pattern) => leavesOf(pattern, known)) ?? []
    if (each.length === 0 || each.some((leaves) => leaves === null || leaves.length === 0)) return [ruleNamed(type, {})]
    return each.map((leaves) =>
      ruleNamed(type, Object.fromEntries(leaves!.toSorted(([one], [other]) => (one < other ? -1 : 1)))),
    )
  })
}
