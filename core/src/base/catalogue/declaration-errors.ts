/** Errors of services, reactions and choreographies. */
import { spec } from './error-spec.ts'

export const declarationErrors = {
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
    what: (d) => `${d.service}/${d.reaction} is new (or was retired), but the ledger already holds ${d.events} events`,
    fix: () =>
      "Say in its policy (of a wire: in its options) where it starts: from: 'beginning' to handle them all, or from: 'now' to handle later ones.",
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
