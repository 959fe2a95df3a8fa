/**
 * The one list of error codes: what happened, whether trying again can help, and what to do.
 * A code is never renamed or reused; docs/errors.md has a section for each, and a test holds that.
 */

/** Everything known about one error code. */
export interface ErrorSpec<Details> {
  /** True when repeating the same call later can succeed without anyone changing anything. */
  readonly retryable: boolean
  readonly what: (details: Details) => string
  readonly fix: (details: Details) => string
}

const spec = <Details>(entry: ErrorSpec<Details>): ErrorSpec<Details> => entry

/** Where a value was wrong, in the words of the schema library. */
export interface Issue {
  readonly path: string
  readonly message: string
}

const issueList = (issues: readonly Issue[]): string =>
  issues.map((issue) => `${issue.path || '(root)'}: ${issue.message}`).join('; ')

const contractErrors = {
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
    what: (d) => `${d.reaction} returned something that is not an event: ${d.value}`,
    fix: () => 'Return what a contract makes, as in `return OrderCompleted({ ... })`, a list of these, or nothing.',
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

const declarationErrors = {
  SERVICE_INVALID: spec<{ service: string; problem: string }>({
    retryable: false,
    what: (d) => `service ${d.service} can not be used: ${d.problem}`,
    fix: () => 'Correct the declaration at the place the stack names.',
  }),
  REACTION_NAME_TAKEN: spec<{ service: string; reaction: string }>({
    retryable: false,
    what: (d) => `service ${d.service} has two reactions called ${d.reaction}`,
    fix: () =>
      'Give one of them a `name`; it identifies the progress and the dead letters of the reaction, so keep it for ever.',
  }),
  REACTION_INVALID: spec<{ service: string; reaction: string; problem: string }>({
    retryable: false,
    what: (d) => `reaction ${d.service}/${d.reaction} can not be used: ${d.problem}`,
    fix: () => 'Correct the declaration at the place the stack names.',
  }),
  CHOREOGRAPHY_INVALID: spec<{ choreography: string; problem: string }>({
    retryable: false,
    what: (d) => `choreography ${d.choreography} can not be used: ${d.problem}`,
    fix: () => 'Correct the declaration.',
  }),
  CONTRACT_CONFLICT: spec<{ type: string; services: readonly string[] }>({
    retryable: false,
    what: (d) => `two different contracts are called ${d.type} (in ${d.services.join(' and ')}), with different keys`,
    fix: () => 'Share one contract, or give the types different names; the key decides the order and must be the same.',
  }),
  START_POSITION_NEEDED: spec<{ service: string; reaction: string; events: number }>({
    retryable: false,
    what: (d) => `${d.service}/${d.reaction} is new, but the ledger already holds ${d.events} events`,
    fix: () =>
      "Say in its policy where it starts: from: 'beginning' to handle them all, or from: 'now' to handle later ones.",
  }),
  REPLAY_NEEDS_OPT_IN: spec<{ service: string; reaction: string; why: string }>({
    retryable: false,
    what: (d) => `${d.service}/${d.reaction} starts from the beginning and would repeat its ${d.why} for old events`,
    fix: () => "Add replay: true if that is wanted, or start it with from: 'now'.",
  }),
  OPTION_INVALID: spec<{ option: string; value: string; expected: string }>({
    retryable: false,
    what: (d) => `option ${d.option} is ${d.value}, expected ${d.expected}`,
    fix: () => 'Correct the option.',
  }),
}

const runtimeErrors = {
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
  CALL_RESULT_NOT_JSON: spec<{ reaction: string; message: string }>({
    retryable: false,
    what: (d) => `the call of ${d.reaction} returned something that is not JSON: ${d.message}`,
    fix: () => 'Return plain data from `call`: it is kept for retries and for the undo.',
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
  DEAD_LETTER_UNKNOWN: spec<{ id: string }>({
    retryable: false,
    what: (d) => `there is no dead letter ${d.id}`,
    fix: () => 'List them with app.deadLetters.list(); it may have been redriven, discarded or expired.',
  }),
  DISCARD_REASON_NEEDED: spec<{ matched: number }>({
    retryable: false,
    what: (d) => `discarding ${d.matched} dead letters was asked without a reason`,
    fix: () => 'Give a reason; it is kept beside the letter.',
  }),
  EXPECTATION_FAILED: spec<{ expected: string; flow: string }>({
    retryable: false,
    what: (d) => `expected ${d.expected}, but this is what happened:\n${d.flow}\n`,
    fix: () => 'Compare the flow above with what the test expects; call settled() first so that everything has run',
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

const ledgerErrors = {
  LEDGER_BUSY: spec<{ ledger: string; waitedMs: number }>({
    retryable: true,
    what: (d) => `${d.ledger} was locked by another process for ${d.waitedMs} ms`,
    fix: () => 'It is tried again. If it stays, look for a process that holds a write transaction open.',
  }),
  LEDGER_CONFLICT: spec<{ ledger: string; message: string }>({
    retryable: true,
    what: (d) => `a transaction on ${d.ledger} collided with another one: ${d.message}`,
    fix: () => 'The batch is tried again, smaller; it counts as no attempt.',
  }),
  LEDGER_CLOSED: spec<{ ledger: string; operation: string }>({
    retryable: false,
    what: (d) => `${d.operation} was called on ${d.ledger} before open() or after close()`,
    fix: () => 'Use the ledger through start(), and not after stop().',
  }),
  LEDGER_UNREACHABLE: spec<{ ledger: string; message: string }>({
    retryable: true,
    what: (d) => `${d.ledger} can not be opened: ${d.message}`,
    fix: () => 'Check that its folder exists, that this user may write there, and that the disk is not full.',
  }),
  LEDGER_INCOMPATIBLE: spec<{ ledger: string; problem: string }>({
    retryable: false,
    what: (d) => `${d.ledger} can not be opened: ${d.problem}`,
    fix: () => 'Open it with the version of Quadrille that made it, or with a newer one; never with an older one.',
  }),
  LEDGER_PAGE_VOID: spec<{ ledger: string }>({
    retryable: true,
    what: (d) => `events of ${d.ledger} that were read before their commit have been rolled back with it`,
    fix: () => 'Nothing to do: what was built on them is rolled back too, and the log is read again.',
  }),
  LEASE_LOST: spec<{ reader: string; partitions: readonly number[] }>({
    retryable: true,
    what: (d) => `${d.reader} no longer holds partitions ${d.partitions.join(', ')}; another process took them over`,
    fix: () =>
      'Nothing to do: this process commits nothing for them. If it happens often, raise `leaseMs` or find what blocks the event loop.',
  }),
  CONFORMANCE_FAILED: spec<{ promise: string; expected: string; got: string }>({
    retryable: false,
    what: (d) => `${d.promise}: expected ${d.expected}, got ${d.got}`,
    fix: () => 'Correct the adapter; what each case is for stands in docs/writing-a-ledger.md.',
  }),
  INTERNAL: spec<{ sentence: string }>({
    retryable: false,
    what: (d) => `a promise that Quadrille makes to itself does not hold: ${d.sentence}`,
    fix: () => 'This is a bug of Quadrille. Please report it with the stack.',
  }),
}

/** All error codes with what they say. Read by the documentation test and by `explain`. */
export const errorCatalogue = { ...contractErrors, ...declarationErrors, ...runtimeErrors, ...ledgerErrors } as const
