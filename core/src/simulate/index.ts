/** `quadrille/simulate`: finds the races of a choreography before it runs. */
export { simulate, simulatePhases, replay, type Replay } from './simulate.ts'
export { mailBox, paymentProvider, type MailBox, type PaymentCharge, type PaymentProvider } from './fakes.ts'
export {
  findingText,
  mergeReports,
  type Finding,
  type ReportData,
  type Schedule,
  type SimulationReport,
} from './report.ts'
export { constraintText, type Constraint } from './constraints.ts'
export { oracleCodes } from './oracles.ts'
export { faultKinds, type FaultKind, type Violation } from './schedule-types.ts'
export type { Effect, Sim } from './outside.ts'
export type { Reading } from './sandbox.ts'
export type { Phase } from './search.ts'
export type { CoverageData, Seen } from './coverage.ts'
export type { WireOrder } from './wires.ts'
export type * from './options.ts'
