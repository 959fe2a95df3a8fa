/** Services: a name and a list of reactions, written so that the types follow what is declared. */
import { durationMs, QuadrilleError, refuseUnknown, type DbAdapter, type Duration } from '../base/index.ts'
import { type AnyContract, type AnyPattern, type DataOf, type Emitted } from '../contracts/index.ts'
import { checkReaction, checkWritten } from './reaction-check.ts'
import { callerPlace } from './place.ts'
import { describeReaction, type ServiceDescription } from './describe.ts'
import { policyNames } from './policy-names.ts'
import {
  effectivePolicy,
  type BatchPolicy,
  type CoalescePolicy,
  type JoinBatchPolicy,
  type ReactionPolicy,
} from './policy.ts'
import type { CallContext, HandlerContext, JoinReaction, Reaction } from './reaction.ts'

type EmittedOf<E extends readonly AnyContract[]> = E[number] extends infer C
  ? C extends { readonly type: infer T extends string; readonly $data?: infer D }
    ? Emitted<T, Exclude<D, undefined>>
    : never
  : never

/** What a handler may return when it declares these events: one, several, or none. */
export type Returns<E extends readonly AnyContract[]> = void | undefined | null | EmittedOf<E> | readonly EmittedOf<E>[]
/** The same, at once or later. */
export type MayReturn<E extends readonly AnyContract[]> = Returns<E> | Promise<Returns<E>>

/** A handler that says what its result is needs a `call` that gives it. */
type CallNeeded<R> = undefined extends R ? unknown : { readonly call: unknown }

/** What a handler gets besides, when it gets several events, or joins, at once: the envelope of each, or of the one that completed it. */
type SeveralEvents<B> = B extends JoinBatchPolicy ? { readonly events: readonly HandlerContext['event'][] } : unknown

/** What the handler of an undo gets besides the data. */
export interface UndoContext<Db = unknown, Result = unknown, Done = unknown> extends HandlerContext<Db, Result> {
  /** What the `call` of the action returned; undefined without one. */
  readonly done: Done
}

/** What the `call` of an undo gets besides the data. */
export interface UndoCallContext<Done = unknown> extends CallContext {
  /** What the `call` of the action returned; undefined without one. */
  readonly done: Done
}

/** Undoes an action exactly once if it happened, and prevents it if it has not. See {@link Service.on}. */
export interface UndoOptions<Db, Data, E extends readonly AnyContract[], R, U> {
  /** The events that ask for it; they must carry the same key as the action's event. */
  readonly on: readonly AnyPattern[]
  readonly emits?: E
  /** Runs outside the transaction, with an idempotency key of its own. `done` is what the action's `call` returned. */
  readonly call?: (data: Data, context: UndoCallContext<R>) => U | Promise<U>
  /** Gets the data of the action's event. The action's own rows may be missing when it ended as a dead letter. */
  readonly run: (data: Data, context: UndoContext<Db, U, R>) => MayReturn<E>
}

interface CommonOptions<E extends readonly AnyContract[]> extends ReactionPolicy {
  /**
   * Identifies the progress and dead letters of the reaction. Default: its trigger. Give one when two reactions of a
   * service have the same trigger, and never change it afterwards.
   */
  readonly name?: string
  /** The events that may be returned. Default: none. */
  readonly emits?: E
  /** Needed when the reaction is added to a ledger that already holds events. */
  readonly from?: 'beginning' | 'now'
  /** Allows a reaction with outside effects to start from the beginning. */
  readonly replay?: boolean
}

/** Options of {@link Service.on}. */
export interface OnOptions<
  Db,
  Data,
  E extends readonly AnyContract[],
  R,
  UE extends readonly AnyContract[],
  U,
  B,
> extends CommonOptions<E> {
  /** Events it returns false for are none of this reaction's business. Must depend on nothing but the data. */
  readonly filter?: (data: Data) => boolean
  /**
   * Talks to the outside: runs before the transaction and outside of it, is retried with the same idempotency key, and
   * what it returns (plain JSON data) is kept and handed to the handler as `result`.
   */
  readonly call?: (data: Data, context: CallContext) => R | Promise<R>
  readonly undo?: UndoOptions<Db, Data, UE, R, U> & CallNeeded<U>
  /** The handler gets several events at once. Not together with `call`, `undo` or `coalesce`. */
  readonly batch?: B
  /** The handler gets only the latest event of a key. Not together with `call`, `undo` or `batch`. */
  readonly coalesce?: CoalescePolicy
}

/** The data of each part of a join. */
export type JoinData<L extends readonly AnyPattern[]> = { readonly [I in keyof L]: DataOf<L[I]> }
/** The data of a join that was not completed in time: undefined for what is missing. */
export type PartialJoinData<L extends readonly AnyPattern[]> = { readonly [I in keyof L]: DataOf<L[I]> | undefined }

/** Options of {@link Service.all}. */
export interface AllOptions<
  Db,
  L extends readonly AnyPattern[],
  E extends readonly AnyContract[],
  B = undefined,
> extends CommonOptions<E> {
  /** How long after the first part the join waits for the others. Needs `late`. */
  readonly within?: Duration
  /** What happens when they have not come by then. */
  readonly late?: (parts: PartialJoinData<L>, context: HandlerContext<Db, undefined>) => MayReturn<E>
  /** The handler gets the parts of several keys at once, of those that are complete; `late` gets one. */
  readonly batch?: B
}

/** Options of {@link Service.deadline}. */
export interface DeadlineOptions<E extends readonly AnyContract[]> extends CommonOptions<E> {
  /** The events that settle it; they must carry the same key. */
  readonly unless: readonly AnyPattern[]
  /** Counted from the time of the starting event. */
  readonly within: Duration
}

/** What every kind of reaction is written with. */
interface Written extends Pick<CommonOptions<readonly AnyContract[]>, 'emits' | 'from' | 'replay'> {
  readonly policy: ReactionPolicy
  readonly run: unknown
}

/** Options of {@link service}: how handlers get the transaction, and the policy of all its reactions. */
export interface ServiceOptions<Db> extends ReactionPolicy {
  readonly db?: DbAdapter<Db>
}

/** A service of any kind of `db`. */
export type AnyService = Service<unknown>

/** A named list of reactions. Made by {@link service}; every method adds one reaction and returns the service. */
export class Service<Db = undefined> {
  readonly name: string
  readonly db: DbAdapter<Db> | undefined
  /** What applies to all its reactions unless they say otherwise. */
  readonly policy: ReactionPolicy
  readonly #reactions: Reaction[] = []

  constructor(name: string, options: ServiceOptions<Db>) {
    if (typeof name !== 'string' || !/^[a-z0-9][a-z0-9._-]{0,99}$/i.test(name))
      throw new QuadrilleError('SERVICE_INVALID', {
        service: name,
        problem: 'its name must be 1 to 100 characters of a-z A-Z 0-9 . _ -',
      })
    refuseUnknown(options, { db: true, ...policyNames }, { of: `service ${name}` })
    const { db, ...policy } = options
    this.name = name
    this.db = db
    this.policy = policy
    effectivePolicy({ service: policy, reaction: {} }, name)
  }

  /** Its reactions, in the order of declaration. */
  get reactions(): readonly Reaction[] {
    return this.#reactions
  }

  /**
   * On this event, do this. The handler runs in a transaction: what it writes to `db`, the events it returns and the
   * progress of the service commit together, or none of it does.
   *
   * @throws QuadrilleError `REACTION_NAME_TAKEN`, `REACTION_INVALID`, `OPTION_INVALID` or `DURATION_INVALID`.
   */
  on<P extends AnyPattern>(
    trigger: P,
    handler: (data: DataOf<P>, context: HandlerContext<Db, undefined>) => MayReturn<[]>,
  ): this
  on<
    P extends AnyPattern,
    const E extends readonly AnyContract[] = readonly never[],
    R = undefined,
    const UE extends readonly AnyContract[] = readonly never[],
    U = undefined,
    B extends BatchPolicy | undefined = undefined,
  >(
    trigger: P,
    options: OnOptions<Db, DataOf<P>, E, R, UE, U, B> & CallNeeded<R>,
    handler: (
      data: B extends BatchPolicy ? readonly DataOf<P>[] : DataOf<P>,
      context: HandlerContext<Db, R> & SeveralEvents<B>,
    ) => MayReturn<E>,
  ): this
  on(trigger: AnyPattern, second: unknown, third?: unknown): this {
    const [options, run] = typeof second === 'function' ? [{}, second] : [second, third]
    const name = checkWritten({
      service: this.name,
      kind: 'on',
      triggers: [trigger],
      options: options as object,
      run,
    })
    const {
      name: _name,
      emits,
      filter,
      call,
      undo,
      batch,
      coalesce,
      from,
      replay,
      ...policy
    } = options as OnOptions<
      Db,
      unknown,
      readonly AnyContract[],
      unknown,
      readonly AnyContract[],
      unknown,
      BatchPolicy | undefined
    >
    return this.#add({
      kind: 'on',
      ...this.#base(name, { emits, from, replay, policy, run }),
      trigger,
      filter,
      call,
      undo: undo && { ...undo, emits: undo.emits ?? [] },
      batch,
      coalesce,
    } as Reaction)
  }

  /**
   * When all of these events have come for a key, do this, once. The first event of each part counts until the join
   * fires; the data of the parts is kept in the ledger until then. With `batch` the handler gets the joins that are complete
   * at the same time together; when it fails, each is tried alone.
   *
   * @throws QuadrilleError `REACTION_NAME_TAKEN`, `REACTION_INVALID`, `OPTION_INVALID` or `DURATION_INVALID`.
   */
  all<
    const L extends readonly AnyPattern[],
    const E extends readonly AnyContract[] = readonly never[],
    B extends JoinBatchPolicy | undefined = undefined,
  >(
    triggers: L,
    options: AllOptions<Db, L, E, B>,
    handler: (
      parts: B extends JoinBatchPolicy ? readonly JoinData<L>[] : JoinData<L>,
      context: HandlerContext<Db, undefined> & SeveralEvents<B>,
    ) => MayReturn<E>,
  ): this {
    const name = checkWritten({ service: this.name, kind: 'all', triggers, options, run: handler })
    const { name: _name, emits, within, late, batch, from, replay, ...policy } = options
    const withinMs = within === undefined ? undefined : durationMs(within, `within of ${this.name}/${name}`)
    const base = this.#base(name, { emits, from, replay, policy, run: handler })
    return this.#add({ kind: 'all', ...base, triggers, withinMs, late: late as JoinReaction['late'], batch })
  }

  /**
   * When none of the `unless` events has come within that time after the starting event, do this, once. The handler
   * gets the data of the starting event. The timer is durable.
   *
   * @throws QuadrilleError `REACTION_NAME_TAKEN`, `REACTION_INVALID`, `OPTION_INVALID` or `DURATION_INVALID`.
   */
  deadline<P extends AnyPattern, const E extends readonly AnyContract[] = readonly never[]>(
    start: P,
    options: DeadlineOptions<E>,
    handler: (data: DataOf<P>, context: HandlerContext<Db, undefined>) => MayReturn<E>,
  ): this {
    const name = checkWritten({ service: this.name, kind: 'deadline', triggers: [start], options, run: handler })
    const { name: _name, emits, unless, within, from, replay, ...policy } = options
    const withinMs = durationMs(within, `within of ${this.name}/${name}`)
    const base = this.#base(name, { emits, from, replay, policy, run: handler })
    return this.#add({ kind: 'deadline', ...base, start, unless, withinMs })
  }

  /** The whole service as plain data: what checks, drawings and simulations read. */
  describe(): ServiceDescription {
    return {
      name: this.name,
      db: this.db?.name ?? null,
      reactions: this.#reactions.map((reaction) => describeReaction(reaction, { service: this.policy })),
    }
  }

  #base(
    name: string,
    rest: Written,
  ): Omit<Written, 'run' | 'emits'> & Pick<Reaction, 'name' | 'service' | 'emits' | 'place' | 'run'> {
    const { emits, run, ...others } = rest
    return {
      name,
      service: this.name,
      ...others,
      run: run as Reaction['run'],
      emits: emits ?? [],
      place: callerPlace(),
    }
  }

  #add(reaction: Reaction): this {
    if (this.#reactions.some((other) => other.name === reaction.name))
      throw new QuadrilleError('REACTION_NAME_TAKEN', { service: this.name, reaction: reaction.name })
    checkReaction(reaction)
    this.#reactions.push(reaction)
    return this
  }
}

/**
 * Declares a service. Add reactions with `.on()`, `.all()` and `.deadline()`.
 *
 * @param name - 1 to 100 characters of `a-z A-Z 0-9 . _ -`. It names the progress in the ledger: never change it.
 * @throws QuadrilleError `SERVICE_INVALID` for a name that can not be used; `OPTION_INVALID` or `DURATION_INVALID` for a
 *   policy that makes no sense.
 *
 * @example
 * ```ts run
 * import { event, service } from 'quadrille'
 * import * as z from 'zod'
 *
 * const Greeted = event('greeted', { key: 'name', schema: z.object({ name: z.string() }) })
 * const greeter = service('greeter').on(Greeted, (data) => console.log(`hello ${data.name}`))
 * greeter.describe().reactions.length // => 1
 * ```
 */
export function service<Db = undefined>(name: string, options: ServiceOptions<Db> = {}): Service<Db> {
  return new Service(name, options)
}
