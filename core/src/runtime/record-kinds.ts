/**
 * The kinds of records that several parts of the runtime know; those of one alone stand there. They are in the databases of
 * users, so none is ever renamed.
 */

/** A dead letter. */
export const deadKind = 'dead'

/** What has happened to an event besides being handled at the first try. */
export const noteKind = 'note'

/** What waits for a reaction: work, timers, collected batches and coalesced events. */
export interface WaitingKinds {
  readonly work: string
  readonly timer: string
  readonly batch: string
  readonly coalesce: string
}

export const waitingKinds = (reaction: string): WaitingKinds => ({
  work: `work/${reaction}`,
  timer: `timer/${reaction}`,
  batch: `batch/${reaction}`,
  coalesce: `coalesce/${reaction}`,
})
