/** Contracts: event types, versions, patterns, and the CloudEvents envelope. Knows nothing of services or ledgers. */
export * from './event-contract.ts'
export { matchesPattern, patternText, type Pattern, type PatternValue } from './pattern.ts'
export type {
  InputOf,
  OutputOf,
  StandardIssue,
  StandardResult,
  StandardSchema,
  StandardSchemaProps,
} from './standard-schema.ts'
export * from './event-record.ts'
export {
  cloudEventText,
  fromBinaryEvent,
  fromCloudEvent,
  fromCloudEventJson,
  readCloudEventText,
  toBinaryEvent,
  toCloudEvent,
  type BinaryEvent,
  type CloudEvent,
  type CloudEventJson,
} from './cloud-event.ts'
