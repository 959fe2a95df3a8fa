/** What every room may use: errors, Env, durations, loggers. Knows nothing else. */
export {
  QuadrilleError,
  NonRetryable,
  isNonRetryable,
  isQuadrilleError,
  invariant,
  messageOf,
  type ErrorCode,
  type ErrorDetails,
} from './errors.ts'
export { errorCatalogue, type ErrorSpec, type Issue } from './error-catalogue.ts'
export { durationMs, durationText, type Duration } from './duration.ts'
export { numberOption, refuseOption, refuseUnknown, type NumberRule, type OptionsOf } from './options.ts'
export { doubledMs, sleep, type Cancel, type Env } from './env.ts'
export { systemEnv } from './system-env.ts'
export { uuidV7Generator } from './uuid.ts'
export type { DbAdapter, TxHandle } from './tx-handle.ts'
export { consoleLogger, silentLogger, type Logger } from './logger.ts'
