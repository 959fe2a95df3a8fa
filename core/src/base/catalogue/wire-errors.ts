/** Errors of wires: what carries events between ledgers. */
import { spec } from './error-spec.ts'

export const wireErrors = {
  WIRE_UNREACHABLE: spec<{ wire: string; message: string }>({
    retryable: true,
    what: (d) => `${d.wire} can not be reached: ${d.message}`,
    fix: () => 'Check that the broker runs and that address and credentials are right. Events wait in the ledger.',
  }),
  WIRE_INCOMPATIBLE: spec<{ wire: string; problem: string }>({
    retryable: false,
    what: (d) => `${d.wire} can not be used: ${d.problem}`,
    fix: () => 'Correct what the problem names: the options of the wire, or what stands at the broker under this name.',
  }),
  WIRE_CANNOT: spec<{ wire: string; problem: string }>({
    retryable: false,
    what: (d) => `${d.wire} can not do what is asked of it: ${d.problem}`,
    fix: () => 'Choose another wire, or say in start() that you can do without.',
  }),
  WIRE_SEND_FAILED: spec<{ wire: string; type: string; message: string }>({
    retryable: true,
    what: (d) => `${d.wire} did not take an event of type ${d.type}: ${d.message}`,
    fix: () => 'It is sent again with the same id. If it stays, look at the broker.',
  }),
  WIRE_SEND_HELD: spec<{ behind: string }>({
    retryable: true,
    what: (d) => `the event was not sent because an earlier one of its key, ${d.behind}, has still to be taken`,
    fix: () => 'Nothing to do: it is sent after the earlier one.',
  }),
  WIRE_UNROUTABLE: spec<{ wire: string; type: string }>({
    retryable: true,
    what: (d) => `${d.wire} has nobody who receives events of type ${d.type}`,
    fix: () => 'Start a service that reacts to it, or leave the type out of what this wire sends.',
  }),
  WIRE_MESSAGE_REFUSED: spec<{ wire: string; type: string; problem: string }>({
    retryable: false,
    what: (d) => `${d.wire} can not carry this event of type ${d.type}: ${d.problem}`,
    fix: () => 'Make the event smaller or correct it; then redrive the dead letter, or discard it with a reason.',
  }),
  WIRE_POSITION_LOST: spec<{ wire: string; service: string; problem: string }>({
    retryable: false,
    what: (d) => `${d.wire} no longer has everything that ${d.service} had still to receive: ${d.problem}`,
    fix: () => 'Decide what to do about the gap, then start once with `lost: accept` for this wire; see docs/wires.md.',
  }),
}
