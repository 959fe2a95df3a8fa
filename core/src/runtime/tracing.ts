/** What the runtime asks of whoever traces it: spans around what it runs, and the trace context of what it appends. */
import type { EventRecord } from '../contracts/index.ts'
import type { Handling, Hooks } from './hooks.ts'

/** Where a trace goes on, as W3C writes it. */
export interface TraceContext {
  readonly traceparent: string
  readonly tracestate?: string
}

/** An event that comes from outside a reaction, before it is appended. */
export interface CreatedEvent {
  readonly id: string
  readonly type: string
  readonly source: string
  readonly correlationId: string
}

/** What says where an event comes from. */
export type TraceOrigin = Pick<EventRecord, 'traceparent' | 'tracestate'>

/** What is about to be run. */
export type TracedRun =
  /**
   * A handler, for one event or for all of a batch; or a `call`. Of a join `linked` are all its parts: the handling is of the one that
   * completed it.
   */
  | {
      readonly what: 'handler' | 'call'
      readonly handlings: readonly Handling[]
      readonly linked?: readonly TraceOrigin[]
    }
  /** Events are handed to a broker. */
  | { readonly what: 'send'; readonly wire: string; readonly events: readonly EventRecord[] }

/** Something that runs, or is about to. */
export interface Traced {
  /** What the events carry that a handler emits; undefined for what its own event carries. */
  readonly context: TraceContext | undefined
  /** Runs code of the user, or of a broker's client. Called once, and returns what `work` returns. */
  inside<T>(work: () => T): T
  /** Called once: it has ended, well or with what was thrown, which can be anything. For a handler that is before the commit. */
  ended(failure?: { readonly error: unknown }): void
}

/**
 * Traces an app: `@quadrille/opentelemetry` makes one. It is asked on the path of every event, so it must be quick, and it must not
 * throw. A handler that is run again, because another one of its batch has failed or the database wanted it, is told again.
 */
export interface Tracing {
  /** The trace context of an event from outside a reaction. Called where the caller is, so that his span is the active one. */
  traceContext(event: CreatedEvent): TraceContext | undefined
  /** Something begins. */
  begin(run: TracedRun): Traced
  /** Told like the hooks of `start({ hooks })`, before them. */
  readonly hooks?: Hooks
}
