/** The list of rules. Codes are stable: a rule that is dropped leaves its number empty. */
import type { Severity } from './finding.ts'

/** A rule as data; docs/check.md has a section for each, and a test holds that. */
export interface Rule {
  /** A few words. */
  readonly name: string
  /** What its findings are, unless they say otherwise. */
  readonly severity: Severity
}

/** All rules by code. The missing numbers are explained in docs/check.md. */
export const rules = {
  S1: { name: 'nobody emits it', severity: 'error' },
  S2: { name: 'nobody reacts to it', severity: 'warning' },
  S3: { name: 'never reached', severity: 'error' },
  S4: { name: 'no way to an end', severity: 'error' },
  S5: { name: 'no deadline', severity: 'error' },
  S6: { name: 'not undone', severity: 'error' },
  S7: { name: 'undone before it is done', severity: 'error' },
  S8: { name: 'late success', severity: 'error' },
  S9: { name: 'success before it is sure', severity: 'error' },
  S10: { name: 'different keys', severity: 'error' },
  S13: { name: 'repeated effect', severity: 'error' },
  S14: { name: 'failure that may be none', severity: 'error' },
  S16: { name: 'unbounded cycle', severity: 'error' },
  S17: { name: 'amplification', severity: 'warning' },
  S18: { name: 'contracts that do not fit', severity: 'error' },
  S20: { name: 'irreversible before the decision', severity: 'error' },
  S21: { name: 'undo gives up early', severity: 'warning' },
  S23: { name: 'deadline too short', severity: 'warning' },
  S24: { name: 'more hops than allowed', severity: 'warning' },
  S26: { name: 'two owners', severity: 'warning' },
  D1: { name: 'not decoded by a deployed version', severity: 'error' },
  D2: { name: 'no reaction in a deployed version', severity: 'error' },
} as const satisfies Readonly<Record<string, Rule>>

/** The stable code of a rule. */
export type RuleCode = keyof typeof rules
