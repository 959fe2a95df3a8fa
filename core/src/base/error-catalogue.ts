/**
 * The one list of error codes: what happened, whether trying again can help, and what to do.
 * A code is never renamed or reused; docs/errors.md has a section for each, and a test holds that.
 */
import { contractErrors } from './catalogue/contract-errors.ts'
import { declarationErrors } from './catalogue/declaration-errors.ts'
import { runtimeErrors } from './catalogue/runtime-errors.ts'
import { ledgerErrors } from './catalogue/ledger-errors.ts'
import { wireErrors } from './catalogue/wire-errors.ts'
import { toolErrors } from './catalogue/tool-errors.ts'
import { simulationErrors } from './catalogue/simulation-errors.ts'

export type { ErrorSpec, Issue } from './catalogue/error-spec.ts'

/** All error codes with what they say. Read by the documentation test and by `explain`. */
export const errorCatalogue = {
  ...contractErrors,
  ...declarationErrors,
  ...runtimeErrors,
  ...ledgerErrors,
  ...wireErrors,
  ...toolErrors,
  ...simulationErrors,
} as const
