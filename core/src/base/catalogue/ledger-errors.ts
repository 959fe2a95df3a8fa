/** Errors of ledgers, and of this library itself. */
import { spec } from './error-spec.ts'

export const ledgerErrors = {
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
    what: (d) => `${d.ledger} can not be reached: ${d.message}`,
    fix: () =>
      'A file: check that its folder exists, that this user may write there, and that the disk is not full. A server: check address, user and password, and that it runs.',
  }),
  LEDGER_OUTCOME_UNKNOWN: spec<{ ledger: string; message: string }>({
    retryable: true,
    what: (d) => `the connection to ${d.ledger} was lost while a transaction was committed: ${d.message}`,
    fix: () => 'It has committed as a whole or not at all: look which, by its events or rows, before you do it again.',
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
  APPEND_OUTSIDE_TRANSACTION: spec<Record<never, never>>({
    retryable: false,
    what: () => 'append() was called on a connection, pool or builder on which no transaction is open',
    fix: () =>
      'Begin a transaction and hand that over: an event that commits by itself says something that may never have happened. To publish without rows of your own, use app.publish().',
  }),
  LEASE_LOST: spec<{ reader: string; partitions: readonly number[] }>({
    retryable: true,
    what: (d) => `${d.reader} no longer holds partitions ${d.partitions.join(', ')}; another process took them over`,
    fix: () =>
      'Nothing to do: this process commits nothing for them. If it happens often, raise `lease` of start() or find what blocks the event loop.',
  }),
  CONFORMANCE_FAILED: spec<{ promise: string; expected: string; got: string }>({
    retryable: false,
    what: (d) => `${d.promise}: expected ${d.expected}, got ${d.got}`,
    fix: () =>
      'Correct the adapter; what each case is for stands in docs/writing-a-ledger.md and docs/writing-a-wire.md.',
  }),
  INTERNAL: spec<{ sentence: string }>({
    retryable: false,
    what: (d) => `a promise that Quadrille makes to itself does not hold: ${d.sentence}`,
    fix: () => 'This is a bug of Quadrille. Please report it with the stack.',
  }),
}
