/** Errors of simulations. */
import { spec } from './error-spec.ts'

export const simulationErrors = {
  SIMULATION_INVALID: spec<{ problem: string }>({
    retryable: false,
    what: (d) => `there is nothing that could be simulated: ${d.problem}`,
    fix: () => 'Give simulate() a choreography, or a function from your fakes to one; docs/verify.md shows both.',
  }),
  SIMULATION_ESCAPED: spec<{ handler: string }>({
    retryable: false,
    what: (d) => `${d.handler} waits for something that no simulation controls`,
    fix: () =>
      'What goes to the outside belongs into `call`, and what it talks to into `outside`. Timers and files of the machine are of no use there.',
  }),
  SIMULATION_IO: spec<{ handler: string; what: string }>({
    retryable: false,
    what: (d) => `${d.handler} wanted ${d.what}, and a simulation has no network`,
    fix: () => 'Hand the client to the service as an argument, and give simulate() a fake of it in `outside`.',
  }),
  SIMULATION_FOUND: spec<{ choreography: string; finding: string }>({
    retryable: false,
    what: (d) => `${d.choreography} can go wrong:\n${d.finding}`,
    fix: () => 'Read the sequence from the top; keep the schedule as a regression test (docs/verify.md).',
  }),
  SCHEDULE_INVALID: spec<{ problem: string }>({
    retryable: false,
    what: (d) => `this is not a schedule that can be replayed: ${d.problem}`,
    fix: () => 'Use the `schedule` of a finding as it was written, for the choreography it was found in.',
  }),
}
