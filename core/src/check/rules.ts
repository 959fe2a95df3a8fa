/** The list of rules. Codes are stable: a rule that is dropped leaves its number empty. */

/** A rule as data; docs/check.md has a section for each, and a test holds that. */
export interface Rule {
  readonly name: string
}

/** All rules by code. */
export const rules = {
  S1: { name: 'nobody emits it' },
} as const satisfies Readonly<Record<string, Rule>>

/** The stable code of a rule. */
export type RuleCode = keyof typeof rules
