/** `quadrille/check`: what can go wrong in a declared choreography, before it runs. */
export { check } from './check.ts'
export type { Verdict } from './compat/decoding.ts'
export { rules, type Rule, type RuleCode } from './rule-list.ts'
export type {
  CheckOptions,
  CheckReport,
  Decoding,
  Finding,
  FlowReport,
  Place,
  Severity,
  Suppressed,
  Suppression,
} from './finding.ts'
