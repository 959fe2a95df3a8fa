/** Errors of contracts and events. */
import { issueList, spec, type Issue } from './error-spec.ts'

/** What takes events, such as `publish()`; a reaction, or a transaction, returns them. */
const isMethod = (where: string): boolean => /^\w+\(\)$/.test(where)

export const contractErrors = {
  EVENT_INVALID: spec<{ type: string; version: number; issues: readonly Issue[]; value: string }>({
    retryable: false,
    what: (d) =>
      `the data of ${d.type} v${d.version} does not match its schema at ${issueList(d.issues)} (got ${d.value})`,
    fix: () => 'Correct the value at the named path, or the schema of the contract.',
  }),
  EVENT_TOO_LARGE: spec<{ type: string; sizeBytes: number; limitBytes: number }>({
    retryable: false,
    what: (d) => `${d.type} is ${d.sizeBytes} bytes, more than the limit of ${d.limitBytes}`,
    fix: () => 'Put the large part somewhere else and its address into the event, or raise `eventBytesMax` in start().',
  }),
  EVENT_UNDECODABLE: spec<{ reason: string }>({
    retryable: false,
    what: (d) => `the bytes are not a CloudEvents 1.0 JSON event: ${d.reason}`,
    fix: () =>
      'Look at the bytes in the dead letter; correct the producer, or map foreign messages before handing them in.',
  }),
  EVENT_TYPE_UNKNOWN: spec<{ type: string }>({
    retryable: false,
    what: (d) => `no service that runs here has a contract for the event type ${d.type}`,
    fix: () => 'Declare a contract and a reaction for the type, or stop sending it here; then redrive the dead letter.',
  }),
  EVENT_VERSION_UNKNOWN: spec<{ type: string; version: number; known: readonly number[] }>({
    retryable: false,
    what: (d) => `${d.type} v${d.version} is not a version this contract knows (${d.known.join(', ')})`,
    fix: () => 'Release the consumer with the new version of the contract first, then redrive the dead letter.',
  }),
  EVENT_UNDECLARED: spec<{ reaction: string; type: string; declared: readonly string[] }>({
    retryable: false,
    what: (d) => `${d.reaction} returned ${d.type}, but declares only [${d.declared.join(', ')}]`,
    fix: (d) => `Add the contract of ${d.type} to \`emits\`, or do not return it.`,
  }),
  EVENT_FOREIGN_VALUE: spec<{ reaction: string; value: string }>({
    retryable: false,
    what: (d) =>
      `${d.reaction} ${isMethod(d.reaction) ? 'was given' : 'returned'} something that is not an event: ${d.value}`,
    fix: (d) =>
      `${isMethod(d.reaction) ? 'Hand over' : 'Return'} what a contract makes, as in \`OrderCompleted({ ... })\`, a list of these, or nothing.`,
  }),
  CONTRACT_INVALID: spec<{ type: string; problem: string }>({
    retryable: false,
    what: (d) => `the contract of ${d.type} can not be used: ${d.problem}`,
    fix: () => 'Correct the declaration.',
  }),
  UPCAST_FAILED: spec<{ type: string; from: number; to: number; message: string }>({
    retryable: false,
    what: (d) => `the upcast of ${d.type} from v${d.from} to v${d.to} threw: ${d.message}`,
    fix: () => 'Correct the upcast so that it accepts everything the old schema accepts, then redrive the dead letter.',
  }),
  JSON_SCHEMA_UNAVAILABLE: spec<{ type: string; version: number; vendor: string; message: string }>({
    retryable: false,
    what: (d) => `${d.vendor} gives no JSON Schema for ${d.type} v${d.version}: ${d.message}`,
    fix: () =>
      'Wrap the schema as its vendor says (valibot: toStandardJsonSchema), or give `jsonSchema` beside `schema`.',
  }),
  DURATION_INVALID: spec<{ value: string; where: string }>({
    retryable: false,
    what: (d) => `${d.where} is not a duration: ${d.value}`,
    fix: () => "Write milliseconds as a number, or a string such as '250ms', '30s', '15m', '2h' or '7d'.",
  }),
}
