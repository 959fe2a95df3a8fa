/** Errors of the running app. */
import { spec } from './error-spec.ts'

export const runtimeErrors = {
  HANDLER_RUN_AGAIN: spec<Record<never, never>>({
    retryable: true,
    what: () =>
      'the transaction is rolled back, because this handler needs the answers to its statements before it goes on',
    fix: () => 'Nothing to do: it is run again, and from now on alone. Do not swallow this error.',
  }),
  APP_STOPPED: spec<{ operation: string }>({
    retryable: false,
    what: (d) => `${d.operation} was called after stop()`,
    fix: () => 'Start a new app; a stopped one can not be used again.',
  }),
  SERVICE_UNKNOWN: spec<{ service: string; known: readonly string[] }>({
    retryable: false,
    what: (d) => `service ${d.service} does not run in this app (running: ${d.known.join(', ')})`,
    fix: () => 'Name one of the running services, or start the app with it.',
  }),
  RETIRE_REFUSED: spec<{ what: string; problem: string }>({
    retryable: false,
    what: (d) => `${d.what} is not retired: ${d.problem}`,
    fix: () => 'Name what has worked on this ledger, and stop every process that runs it.',
  }),
  WIRE_RETIRED: spec<{ wire: string }>({
    retryable: false,
    what: (d) => `wire ${d.wire} was retired on this ledger, and nothing has been kept for it since`,
    fix: () => 'Give it another name, and say where it starts to send: `from`.',
  }),
  TIMED_OUT: spec<{ waitedFor: string; waitedMs: number }>({
    retryable: true,
    what: (d) => `${d.waitedFor} did not come within ${d.waitedMs} ms`,
    fix: () => 'Wait longer, or look at app.health() and app.deadLetters.list() for what holds it up.',
  }),
  CALL_TIMED_OUT: spec<{ reaction: string; timeoutMs: number }>({
    retryable: true,
    what: (d) => `the call of ${d.reaction} gave no answer within ${d.timeoutMs} ms; whether it happened is not known`,
    fix: () => 'It is asked again with the same idempotency key. If it is always slow, raise `callTimeout`.',
  }),
  PROCESS_DIED: spec<{ reaction: string; process: string }>({
    retryable: true,
    what: (d) =>
      `${d.reaction} had this event in hand, and no other, when its process (${d.process}) died or was silent for longer than its lease`,
    fix: () =>
      'Look at how that process ended: out of memory, a native crash, process.exit(), an endless loop. It is tried again, alone, until `attempts`.',
  }),
  CALL_RESULT_NOT_JSON: spec<{ reaction: string; message: string }>({
    retryable: false,
    what: (d) => `the call of ${d.reaction} returned something that JSON does not carry as it is: ${d.message}`,
    fix: () =>
      'Return plain data from `call` (of a Response: its ok, status and await json(); of a Date: toISOString()): it is kept for retries and for the undo.',
  }),
  HOPS_EXCEEDED: spec<{ reaction: string; hops: number; limit: number; path: readonly string[] }>({
    retryable: false,
    what: (d) => `an event reached ${d.reaction} after ${d.hops} hops, more than ${d.limit}: ${d.path.join(' -> ')}`,
    fix: () => 'Break the cycle, or raise `maxHops` if a chain this long is meant.',
  }),
  CONVERSATION_BUDGET_EXCEEDED: spec<{ correlationId: string; events: number; limit: number; reaction: string }>({
    retryable: false,
    what: (d) =>
      `conversation ${d.correlationId} has ${d.events} events, more than ${d.limit}; ${d.reaction} was stopped`,
    fix: () =>
      'Find what multiplies the events with app.flow(), or raise `conversationEventsMax` if so many are meant.',
  }),
  MEMORY_TOO_SHORT: spec<{ reaction: string; withinMs: number; memoryMs: number }>({
    retryable: false,
    what: (d) =>
      `${d.reaction} waits for up to ${d.withinMs} ms, more than half of the ${d.memoryMs} ms for which everything is remembered`,
    fix: (d) => `Make retention.memory at least ${d.withinMs * 2} ms, or \`within\` shorter.`,
  }),
  DEAD_LETTER_UNKNOWN: spec<{ id: string }>({
    retryable: false,
    what: (d) => `there is no dead letter ${d.id}`,
    fix: () => 'List them with app.deadLetters.list(); it may have been redriven or discarded.',
  }),
  DISCARD_REASON_NEEDED: spec<{ matched: number }>({
    retryable: false,
    what: (d) => `discarding ${d.matched} dead letters was asked without a reason`,
    fix: () => 'Give a reason; it is kept beside the letter.',
  }),
  EXPECTATION_FAILED: spec<{ expected: string; flow: string; settled: boolean }>({
    retryable: false,
    what: (d) => `expected ${d.expected}, but something else has happened`,
    fix: (d) => {
      const first = 'Await settled() first: it was not awaited since the last event was published, so this is not all.'
      return `${d.settled ? 'Compare what the test expects with what there was:' : first}\n${d.flow.trimEnd()}`
    },
  }),
  NESTED_TRANSACTION: spec<{ operation: string; inside: string }>({
    retryable: false,
    what: (d) => `${d.operation} was called inside ${d.inside}, whose transaction it would have to wait for`,
    fix: () => 'Return the events from the handler instead; they commit together with its rows.',
  }),
  HANDLE_CLOSED: spec<{ what: string }>({
    retryable: false,
    what: (d) => `${d.what} was used after its transaction had ended`,
    fix: () => 'Await every query before the handler returns, and never keep the handle for later.',
  }),
  TRANSACTION_CONTROL: spec<{ sql: string }>({
    retryable: false,
    what: (d) => `a handler tried to run ${d.sql} on the transaction of its reaction`,
    fix: () => 'The reaction commits when the handler returns and rolls back when it throws; remove the statement.',
  }),
  HANDLE_UNSUPPORTED: spec<{ handle: string; ledger: string }>({
    retryable: false,
    what: (d) => `${d.handle} can not work on a ${d.ledger} ledger`,
    fix: () => 'Choose the `db` option of the service that fits the ledger.',
  }),
  PARAMETER_UNSUPPORTED: spec<{ database: string; index: number; type: string }>({
    retryable: false,
    what: (d) => `parameter ${d.index} of a query is of type ${d.type}, which ${d.database} can not store`,
    fix: () => 'Convert it first: a Date with toISOString() or getTime(), an object with JSON.stringify().',
  }),
}
