/**
 * What the runtime tells as it works. Metrics, spans, the recorded flow and the test harness are derived from these
 * facts and from nothing else. A hook must be quick and must not throw; what it throws is logged and dropped.
 */
import type { EventRecord } from '../contracts/index.ts'

/** Names a handling: which reaction of which service, on which event, for which try. */
export interface Handling {
  readonly service: string
  readonly reaction: string
  readonly event: EventRecord
  /** `run`: the handler; `undo`: its undo; `late`: a join that was not completed; `deadline`: a deadline that passed. */
  readonly role: 'run' | 'undo' | 'late' | 'deadline'
  /** 1 for the first try. */
  readonly attempt: number
}

/** A handling that ended, with how long its parts took. */
export interface Handled extends Handling {
  /** From the event's time to the commit, milliseconds. */
  readonly ageMs: number
  /** In the handler, milliseconds; in a batch the handler's whole time divided by the number of events. */
  readonly handlerMs: number
  /** Ids of the events it emitted. */
  readonly emitted: readonly string[]
}

/** Why a handling did not end well. */
export interface Failed extends Handling {
  readonly error: unknown
  /** When it is tried again; null when it became a dead letter. */
  readonly retryAt: number | null
}

/** All hooks, all optional. Every hook but `call` is called after the transaction that made it true has committed. */
export interface Hooks {
  /**
   * Events were appended, by a reaction, a transaction or from outside. `origin` is the service, or null for outside.
   * `duplicates` were dropped, because their ids were known already; when all were, `events` is empty.
   */
  appended?(facts: {
    readonly events: readonly EventRecord[]
    readonly duplicates: number
    readonly origin: string | null
  }): void
  /** A reaction has handled an event. */
  handled?(facts: Handled): void
  /**
   * A reaction has not handled an event because it must not. `undone`: before it ran; `nothing-to-undo`: the action has not
   * happened; `joined`: the join has such an event already, or is over; `coalesced`: it replaced an earlier one of its key.
   */
  skipped?(facts: Handling & { readonly why: 'undone' | 'nothing-to-undo' | 'joined' | 'coalesced' }): void
  /** A try has failed; it was parked for a later one. */
  failed?(facts: Failed): void
  /** An event became a dead letter. */
  dead?(facts: Failed & { readonly code: string }): void
  /** A `call` ended. `outcome` is `unknown` when it was aborted or threw: it may or may not have happened. */
  call?(facts: Handling & { readonly durationMs: number; readonly outcome: 'answered' | 'unknown' }): void
  /**
   * A breaker opened, let a probe through, or closed. A probe of a handler that fails leaves no trace but `open`, since nothing
   * of it is committed; one of a `call` is told while it is under way.
   */
  breaker?(facts: {
    readonly service: string
    readonly reaction: string
    readonly state: 'open' | 'probing' | 'closed'
    readonly until: number
  }): void
  /** A batch was committed. `durationMs` includes waiting for the database and everything that was tried again. */
  batch?(facts: {
    readonly service: string
    readonly events: number
    readonly handled: number
    readonly durationMs: number
  }): void
  /** A handler held the transaction open for long. */
  slow?(facts: Handling & { readonly heldMs: number }): void
  /** Leases changed hands. */
  leases?(facts: { readonly reader: string; readonly held: number }): void
  /** A wire has taken events: the broker has them durably, and the ledger knows. `ageMs` is that of the oldest. */
  sent?(facts: { readonly wire: string; readonly events: readonly EventRecord[]; readonly ageMs: number }): void
  /** An event could not be sent; `retryAt` is null when it became a dead letter. */
  sendFailed?(facts: {
    readonly wire: string
    readonly event: EventRecord
    readonly error: unknown
    readonly retryAt: number | null
  }): void
  /** Messages came over a wire and are in the ledger. */
  received?(facts: {
    readonly wire: string
    readonly service: string
    readonly appended: number
    readonly duplicates: number
    readonly dead: number
  }): void
  /** A wire, or the subscription of a service on it, was lost or is back. */
  wire?(facts: {
    readonly wire: string
    readonly service: string | null
    readonly state: 'lost' | 'restored'
    readonly why: string
  }): void
  /** A reader of this process has nothing more to do right now. */
  idle?(facts: { readonly reader: string }): void
}
