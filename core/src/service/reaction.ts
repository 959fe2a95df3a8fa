/** What a service does: reactions, as plain data with the types taken out. The typed way to write them is service.ts. */
import type { Logger } from '../base/index.ts'
import type { AnyContract, AnyPattern, Emitted } from '../contracts/index.ts'
import type { BatchPolicy, CoalescePolicy, JoinBatchPolicy, ReactionPolicy } from './policy.ts'

/** The envelope of an event, as a handler sees it. Times are Dates. */
export interface EventView {
  readonly id: string
  readonly type: string
  readonly version: number
  readonly source: string
  readonly key: string
  readonly correlationId: string
  readonly causationId: string | null
  readonly hops: number
  readonly time: Date
  readonly position: number
  readonly traceparent: string | null
  readonly tracestate: string | null
}

/** What a handler gets besides the data. Everything that is not deterministic comes from here. */
export interface HandlerContext<Db = unknown, Result = unknown> {
  /** The open transaction: what is written here commits together with the returned events. */
  readonly db: Db
  /** What `call` returned; undefined without a `call`. */
  readonly result: Result
  readonly event: EventView
  /** 1 for the first try. */
  readonly attempt: number
  /** The same on every retry and redrive of this event in this reaction. */
  readonly idempotencyKey: string
  /** Aborted when the process stops and no longer waits for the handler. */
  readonly signal: AbortSignal
  /** True when the event is older than the reaction, which started `from: 'beginning'`. */
  readonly replay: boolean
  readonly log: Logger
  readonly now: () => Date
  /** A number in [0, 1). */
  readonly random: () => number
  /** A new UUIDv7. */
  readonly uuid: () => string
}

/** What a `call` gets besides the data. It runs outside any transaction. */
export interface CallContext {
  /** The same on every retry and redrive: hand it to the other side, so that a repeated call has no second effect. */
  readonly idempotencyKey: string
  /** Aborted after `callTimeout`, and when the process stops. */
  readonly signal: AbortSignal
  readonly attempt: number
  readonly event: EventView
  readonly log: Logger
  readonly now: () => Date
}

/** What a handler may return. */
export type Returned = void | undefined | null | Emitted | readonly Emitted[]
type Run<Data> = (data: Data, context: never) => Returned | Promise<Returned>
type Call = (data: never, context: never) => unknown

/** How an action is undone. */
export interface Undo {
  readonly on: readonly AnyPattern[]
  readonly emits: readonly AnyContract[]
  readonly call?: Call
  readonly run: Run<never>
}

interface ReactionBase {
  /** Identifies its progress, its dead letters and its idempotency keys; unique in the service. */
  readonly name: string
  readonly service: string
  readonly emits: readonly AnyContract[]
  readonly policy: ReactionPolicy
  /** Where it starts in a ledger that already holds events. */
  readonly from?: 'beginning' | 'now'
  /** Old events may be handled although this has effects beyond the own tables. */
  readonly replay?: boolean
  /** Where it was declared: `file:line`. */
  readonly place: string
  readonly run: Run<never>
}

/** On this event, do this. */
export interface OnReaction extends ReactionBase {
  readonly kind: 'on'
  readonly trigger: AnyPattern
  readonly filter?: (data: never) => boolean
  readonly call?: Call
  readonly undo?: Undo
  readonly batch?: BatchPolicy
  readonly coalesce?: CoalescePolicy
}

/** On all of these events of one key, do this. */
export interface JoinReaction extends ReactionBase {
  readonly kind: 'all'
  readonly triggers: readonly AnyPattern[]
  readonly withinMs?: number
  readonly late?: Run<never>
  readonly batch?: JoinBatchPolicy
}

/** Unless one of these events comes within this time after that one, do this. */
export interface DeadlineReaction extends ReactionBase {
  readonly kind: 'deadline'
  readonly start: AnyPattern
  readonly unless: readonly AnyPattern[]
  readonly withinMs: number
}

/** A reaction of any kind. */
export type Reaction = OnReaction | JoinReaction | DeadlineReaction

/** What part an event type plays in a reaction. */
export type TriggerRole = 'trigger' | 'undo' | 'part' | 'start' | 'unless'

/** All triggers of a reaction, with the part each plays; for `part`, `index` is the place in the join. */
export function triggersOf(reaction: Reaction): readonly { role: TriggerRole; trigger: AnyPattern; index: number }[] {
  const list = (role: TriggerRole, triggers: readonly AnyPattern[]) =>
    triggers.map((trigger, index) => ({ role, trigger, index }))
  if (reaction.kind === 'all') return list('part', reaction.triggers)
  if (reaction.kind === 'deadline') return [...list('start', [reaction.start]), ...list('unless', reaction.unless)]
  return [...list('trigger', [reaction.trigger]), ...list('undo', reaction.undo?.on ?? [])]
}

/** All events that a reaction may emit, its undo and its `late` included. */
export function emitsOf(reaction: Reaction): readonly AnyContract[] {
  return reaction.kind === 'on' && reaction.undo ? [...reaction.emits, ...reaction.undo.emits] : reaction.emits
}
