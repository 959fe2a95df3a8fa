/** What `start()` gives: the running app, as its users see it. */
import type { Duration, Env, Logger } from '../base/index.ts'
import type { Emitted, EventRecord } from '../contracts/index.ts'
import type { AnyService, Choreography, Returned, Service } from '../service/index.ts'
import type { ReactionPolicy } from '../service/index.ts'
import type { Ledger, LedgerHealth } from '../ledger/index.ts'
import type { Wire } from '../wire/index.ts'
import type { Hooks } from './hooks.ts'
import type { WireOptions } from './wires/wire-options.ts'
import type { WireReport } from './wires/wire-report.ts'
import type { Flow } from './flow.ts'
import type { CreatedEvent, TraceContext, Tracing } from './tracing.ts'

/** Options of {@link start}. */
export interface StartOptions {
  readonly services: readonly AnyService[]
  /** Default: SQLite in memory, with a warning that says so. */
  readonly ledger?: Ledger
  /** What carries events to and from other ledgers. Default: none; services that share a ledger need none. */
  readonly wires?: readonly (Wire | WireOptions)[]
  /** Default: time and randomness of the machine. */
  readonly env?: Env
  /** Any logger with pino's call shape. Default: warnings and errors to standard error. */
  readonly log?: Logger
  readonly hooks?: Hooks | readonly Hooks[]
  /** The policy of all reactions that do not say otherwise. */
  readonly policy?: ReactionPolicy
  /** The most events a service handles in one transaction: 1 to 5,000, default 1,000. Slow handlers get smaller batches. */
  readonly batchMax?: number
  /** How long a process may be silent before others take over its partitions. Default '2s'. */
  readonly lease?: Duration
  /** How often a reader looks by itself at what nothing tells, while things happen; up to 64 times as seldom while nothing does. Default '1s'. */
  readonly poll?: Duration
  /** The largest event, as bytes of its payload. Default 262,144 (256 KiB). */
  readonly eventBytesMax?: number
  /** The most events of one conversation. Default 10,000. */
  readonly conversationEventsMax?: number
  /** A handler that holds the transaction open for longer is warned about, also while it runs. Default '250ms'. */
  readonly slowHandler?: Duration
  /** What is forgotten, and when. */
  readonly retention?: RetentionOptions
  /** Called at append for the trace context of an event that has none: of the caller. Default: that of `tracing`, else none. */
  readonly traceContext?: (event: CreatedEvent) => TraceContext | undefined
  /** Spans around what runs; `@quadrille/opentelemetry` makes one. It also gives the trace context. Default: none. */
  readonly tracing?: Tracing
  /** Names this process in leases; default a random id. */
  readonly instance?: string
}

/** What is forgotten, and when. Events that a service has still to handle are never trimmed. */
export interface RetentionOptions {
  /** How long events stay after everyone has handled them. Default '7d'. */
  readonly events?: Duration
  /**
   * How long ids, fences and joins are remembered; longer while something that was there before them waits. An older
   * duplicate would be a new event, and an older action is not undone. At least twice the longest deadline. Default '30d'.
   */
  readonly memory?: Duration
  /** How often it looks. Default '1m'; 0 for never. */
  readonly every?: Duration
}

/**
 * What a transaction hands back: its events, to wait for with {@link App.seen}. Those whose ids were known are named as they
 * were appended before; they are missing once they are trimmed, which is when every service has handled them.
 */
export interface Token {
  readonly correlationId: string
  readonly events: readonly { readonly id: string; readonly key: string; readonly position: number }[]
}

/** What {@link App.transact} gives its work. */
export interface TransactContext<Db> {
  readonly db: Db
  readonly now: () => Date
  readonly random: () => number
  readonly uuid: () => string
}

/** Options of publishing. */
export interface PublishOptions {
  /** Puts the events into a conversation that exists. Default: the first event starts one, named by its id. */
  readonly correlationId?: string
  /** The event that caused them, when they come from outside. */
  readonly causationId?: string
}

/** How a conversation ended. */
export interface Outcome {
  readonly status: 'success' | 'failure'
  /** The event that ended it. */
  readonly event: EventRecord
  /** Its data. */
  readonly data: unknown
  readonly correlationId: string
}

/** Which dead letters. All given conditions must hold. */
export interface DeadLetterFilter {
  readonly id?: string
  readonly service?: string
  readonly reaction?: string
  readonly type?: string
  readonly key?: string
  /** The error code or name. */
  readonly code?: string
}

/** One failed try. */
export interface Attempt {
  readonly at: Date
  readonly name: string
  readonly code: string | null
  readonly message: string
  readonly stack: string | null
}

/** An event that a reaction could not handle, and why. */
export interface DeadLetter {
  readonly id: string
  readonly service: string
  readonly reaction: string
  /** What was to be done: `undo` means that an action is still not undone. */
  readonly role: 'run' | 'undo' | 'late' | 'deadline' | 'receive' | 'send'
  /** The reason as a code: of the catalogue, or the name of the handler's error. */
  readonly code: string
  readonly message: string
  /** The event; null when its bytes could not be decoded. */
  readonly event: EventRecord | null
  /** The bytes as they came: of the payload, or of the whole message when that could not be decoded. */
  readonly bytes: Uint8Array
  readonly attempts: readonly Attempt[]
  readonly at: Date
  /** How often it has been redriven before. */
  readonly redrives: number
  /** True when later events of its key wait for it. */
  readonly holds: boolean
}

/** Dead letters: look, put back, or discard. */
export interface DeadLetters {
  /** At most `limit` (default 100) letters, oldest first: of the readers of this process, and of what was received. */
  list(filter?: DeadLetterFilter & { readonly limit?: number }): Promise<readonly DeadLetter[]>
  /** @throws QuadrilleError `DEAD_LETTER_UNKNOWN`. */
  show(id: string): Promise<DeadLetter>
  /** How many there are, by service, reaction and code. */
  groups(): Promise<
    readonly { readonly service: string; readonly reaction: string; readonly code: string; readonly count: number }[]
  >
  /**
   * Puts letters back as work, with their attempts reset; returns how many. With `rate`, they become due one after
   * the other, so many per second. With `dryRun` nothing is changed, no code of yours is run, and the matches are returned. A
   * received message that could not be read is received again if it can be read now; otherwise it stays where it is. What
   * is put back is handled in the order of its key: behind earlier events that wait, or are held as dead letters.
   *
   * @param filter - `{}` for all; a condition that is there must have a value.
   * @throws QuadrilleError `OPTION_INVALID` for names that there are not, conditions without a value, and a `rate` that is
   *   not above 0; `APP_STOPPED`, `NESTED_TRANSACTION`; and of the ledger what {@link App.transact} throws. Each letter has
   *   a transaction of its own: those before it stay put back, and a further call does the rest.
   */
  redrive(
    filter: DeadLetterFilter,
    options?: { readonly rate?: number; readonly dryRun?: boolean },
  ): Promise<{ readonly matched: number; readonly ids: readonly string[] }>
  /**
   * Removes letters; the reason is kept with the conversation. What a removed one has held up goes on.
   *
   * @throws QuadrilleError `DISCARD_REASON_NEEDED`; `OPTION_INVALID`, `APP_STOPPED`, `NESTED_TRANSACTION`, and what the
   *   ledger throws, as for a redrive.
   */
  discard(filter: DeadLetterFilter, reason: string): Promise<{ readonly matched: number }>
}

/** How a reader is doing. */
export interface ReaderHealth {
  readonly reader: string
  /** Events behind the newest one. */
  readonly backlog: number
  /** Age of the oldest event not handled yet, milliseconds; 0 for none. */
  readonly oldestMs: number
  /** Events waiting for a retry, a call, a breaker or an earlier event of their key. */
  readonly waiting: number
  readonly dead: number
  readonly partitionsHeld: number
  readonly openBreakers: readonly string[]
}

/** What `health()` says. `ok` is false when something needs a person. */
export interface Health {
  readonly ok: boolean
  readonly problems: readonly string[]
  readonly ledger: LedgerHealth
  /** None, as of `wires`, while the ledger does not answer because a handler holds it; `problems` says so. */
  readonly readers: readonly ReaderHealth[]
  readonly wires: readonly WireReport[]
}

/** What is no more: a service, or a wire that sent. */
export type RetireTarget = { readonly service: string } | { readonly wire: string }

/** What was retired. */
export interface Retired {
  /** Its readers, which no longer keep the ledger from forgetting. */
  readonly readers: readonly string[]
  /** What waits for it, and its dead letters: they stay in the ledger. */
  readonly waiting: number
  readonly deadLetters: number
}

/** A running app. Made by `start()`. */
export interface App {
  readonly services: readonly AnyService[]
  readonly env: Env
  readonly ledger: Ledger
  /**
   * Runs `work` in a transaction of the service's database and appends the events it returns in the same transaction.
   * Resolves when both are durable.
   *
   * `work` may be run again, up to 20 times and each time in a new transaction: after a collision, after a connection that
   * was lost before anything was committed, and when it shared a transaction with other calls that was undone. So it must do
   * nothing that can not be rolled back. Only work that never touched `db` is run once; its events keep their ids.
   *
   * @throws what `work` throws, everything rolled back; QuadrilleError `EVENT_FOREIGN_VALUE` or `EVENT_TOO_LARGE` for what it
   *   returns; `APP_STOPPED`, `SERVICE_UNKNOWN`, or `NESTED_TRANSACTION` inside a handler or another `work`; `LEDGER_BUSY`,
   *   or after 20 tries `LEDGER_CONFLICT` or `LEDGER_UNREACHABLE`: nothing was committed; `LEDGER_OUTCOME_UNKNOWN`: look
   *   whether it was, before you do it again.
   */
  transact<Db>(
    service: Service<Db>,
    work: (context: TransactContext<Db>) => Returned | Promise<Returned>,
    options?: PublishOptions,
  ): Promise<Token>
  /**
   * Appends events that need no rows of their own. Durable on return; an id that is known already is dropped.
   *
   * @throws QuadrilleError `EVENT_FOREIGN_VALUE` for what no contract has made, or more than 1,000 events;
   *   `EVENT_TOO_LARGE`, `APP_STOPPED`, `NESTED_TRANSACTION`; and of the ledger what {@link App.transact} throws. After
   *   `LEDGER_OUTCOME_UNKNOWN` it may be called again with the same ids.
   */
  publish(events: Emitted | readonly Emitted[], options?: PublishOptions): Promise<Token>
  /**
   * Takes events from outside as CloudEvents JSON bytes, one event an item. Durable on return: appended, dropped as a
   * duplicate, or a dead letter with the exact bytes when it can not be decoded or no service knows its type.
   */
  receive(
    messages: readonly Uint8Array[],
  ): Promise<{ readonly appended: number; readonly duplicates: number; readonly dead: number }>
  /** Waits until the service has handled the events of the token (read your writes). @throws QuadrilleError `TIMED_OUT`. */
  seen(token: Token, service: AnyService | string, options?: { readonly timeout?: Duration }): Promise<void>
  /**
   * Waits for an end of the choreography for this key. An end that has come already is returned at once.
   *
   * @throws QuadrilleError `TIMED_OUT` after `timeout` (default: the choreography's `within`, or '30s').
   */
  outcome(choreography: Choreography, key: string, options?: { readonly timeout?: Duration }): Promise<Outcome>
  readonly deadLetters: DeadLetters
  /**
   * What has happened in a conversation so far: events, retries, compensations, dead letters. Of all services of the ledger, also
   * those that do not run here; of their reactions with a `filter` only what has left a trace. At most the first 10,000 events
   * and the first 10,000 notes: what is beyond is left out, and nothing says so.
   */
  flow(correlationId: string): Promise<Flow>
  health(): Promise<Health>
  /**
   * Says that a service, or a wire, is no more. Until then the ledger keeps every event for it, although nobody will handle
   * them: `health()` names such readers. It must have been stopped everywhere. A service that is started again later must
   * say `from`; a wire can not come back under its name.
   *
   * @throws QuadrilleError `RETIRE_REFUSED` when it runs, here or elsewhere, or is not known: nothing was changed;
   *   `OPTION_INVALID` for anything but one of the two.
   */
  retire(target: RetireTarget): Promise<Retired>
  /**
   * Resolves when everything that can be done now is done: no event unread, no handler running, nothing due. What
   * waits for a later time does not count. Meant for tests and tools; in production it may take for ever.
   */
  quiet(): Promise<void>
  /**
   * Takes nothing new, finishes what is in hand within `deadline` (default '10s'), aborts the rest (it is not lost: the
   * next process takes it up), gives back leases and closes the ledger. It goes without a handler that does not end even then:
   * its transaction stays open until the process ends, which nothing of SQLite's ledger and the app keeps alive. Idempotent.
   */
  stop(options?: { readonly deadline?: Duration }): Promise<void>
}
