/** A world for tests: the user's real services on a ledger in memory, with virtual time, waited for exactly. */
import {
  durationMs,
  QuadrilleError,
  silentLogger,
  systemEnv,
  type Duration,
  type Env,
  type Logger,
} from '../base/index.ts'
import {
  matchesPattern,
  type DataOf,
  type Emitted,
  type EventContract,
  type EventRecord,
  type Pattern,
} from '../contracts/index.ts'
import { sqlite } from '../ledger/sqlite/index.ts'
import type { Ledger } from '../ledger/index.ts'
import { flowText } from '../observe/index.ts'
import {
  start,
  type App,
  type Failed,
  type Flow,
  type FlowDelivery,
  type Handling,
  type PublishOptions,
  type StartOptions,
  type Token,
} from '../runtime/index.ts'
import type { AnyService } from '../service/index.ts'
import { decode } from '../runtime/decoder.ts'
import { failedTry } from '../runtime/work.ts'
import { manualEnv, type ManualEnv } from './manual-env.ts'

/** Options of {@link world}. */
export interface WorldOptions extends Pick<
  StartOptions,
  'policy' | 'batchMax' | 'hooks' | 'tracing' | 'conversationEventsMax' | 'eventBytesMax' | 'retention'
> {
  /** Decides everything that is random. Default 1. */
  readonly seed?: number
  /** Where virtual time begins, milliseconds since 1970. Default 2026-01-01T00:00:00Z. */
  readonly startMs?: number
  /** `throw` (default): settled() throws the first error of a handler. `keep`: errors are retried and kept in `errors`. */
  readonly errors?: 'throw' | 'keep'
  /** Default: SQLite in memory. */
  readonly ledger?: Ledger
  readonly log?: Logger
}

/** What an event has to look like: fields to be equal to, or a test of its data. */
export type Match<Data> = Partial<Data> | ((data: Data) => boolean)

/** A running world. Made by {@link world}. */
export interface World extends AsyncDisposable {
  readonly app: App
  readonly env: ManualEnv
  /** All events so far, in order. */
  readonly events: readonly EventRecord[]
  /** All failed tries so far. */
  readonly errors: readonly Failed[]
  /** Appends events from outside, as `app.publish`. */
  publish(events: Emitted | readonly Emitted[], options?: PublishOptions): Promise<Token>
  /**
   * Resolves when everything that can be done at this time is done: outstanding work is counted, nothing is waited for
   * by time. With `errors: 'throw'` it throws the first error of a handler since the last call.
   */
  settled(): Promise<void>
  /** Moves virtual time, and settles after every timer on the way: retries, deadlines, joins, rate limits. */
  advance(by: Duration): Promise<void>
  /**
   * The data of the events of this type that match, at least one.
   *
   * @throws QuadrilleError `EXPECTATION_FAILED` with the flow so far.
   */
  saw<E extends EventContract<string, unknown, never>>(contract: E, match?: Match<DataOf<E>>): readonly DataOf<E>[]
  /** @throws QuadrilleError `EXPECTATION_FAILED` when there is such an event, or when something is still under way. */
  neverSaw<E extends EventContract<string, unknown, never>>(contract: E, match?: Match<DataOf<E>>): void
  /** The flow so far as text: of one conversation, or of all. */
  flow(correlationId?: string): Promise<string>
  stop(): Promise<void>
}

/**
 * Starts services in a world of their own.
 *
 * @throws QuadrilleError what {@link start} throws.
 *
 * @example
 * ```ts run
 * import { event, service } from 'quadrille'
 * import { world } from 'quadrille/testing'
 * import * as z from 'zod'
 *
 * const Asked = event('asked', { key: 'id', schema: z.object({ id: z.string() }) })
 * const Answered = event('answered', { key: 'id', schema: z.object({ id: z.string() }) })
 * const oracle = service('oracle').on(Asked, { emits: [Answered] }, ({ id }) => Answered({ id }))
 *
 * await using w = await world([oracle])
 * await w.publish(Asked({ id: '1' }))
 * await w.settled()
 * w.saw(Answered, { id: '1' }).length // => 1
 * ```
 */
export async function world(services: readonly AnyService[], options: WorldOptions = {}): Promise<World> {
  const {
    seed = 1,
    startMs,
    errors: errorsMode = 'throw',
    ledger = sqlite(':memory:'),
    log = silentLogger,
    hooks = [],
    ...rest
  } = options
  const env = manualEnv({ seed, ...(startMs === undefined ? {} : { startMs }) })
  const events: EventRecord[] = []
  const errors: Failed[] = []
  const deliveries = new Map<string, FlowDelivery>()
  const delivered = ({ service, reaction, role, event }: Handling, status: FlowDelivery['status']): void => {
    const delivery = { service, reaction, role: partOf[role], eventId: event.id, status }
    deliveries.set(JSON.stringify([service, reaction, delivery.role, event.id]), delivery)
  }
  const watch = {
    appended: (facts: { readonly events: readonly EventRecord[] }) => void events.push(...facts.events),
    handled: (facts: Handling) => delivered(facts, 'handled'),
    skipped: (facts: Handling) => delivered(facts, 'handled'),
    failed: (facts: Failed) => {
      errors.push(facts)
      delivered(facts, 'waiting')
    },
    dead: (facts: Failed) => {
      errors.push(facts)
      delivered(facts, 'dead')
    },
  }
  // Nothing else runs on this ledger, so leases and polls would only fill virtual time with nothing.
  const calm = { lease: '365d', poll: '365d', retention: { every: 0 } } as const
  const app = await start({
    ...calm,
    ...rest,
    services,
    ledger: withRealPauses(ledger, env),
    env,
    log,
    hooks: [watch, ...(Array.isArray(hooks) ? hooks : [hooks])],
  })
  return new RunningWorld({ app, env, events, errors, deliveries, throws: errorsMode === 'throw' })
}

/** The part of the flow that a handling belongs to. */
const partOf: Readonly<Record<Handling['role'], FlowDelivery['role']>> = {
  run: 'run',
  undo: 'undo',
  late: 'part',
  deadline: 'start',
}

/** What a ledger waits for (a lock of another process) is as real as its file: virtual time must not hold it up. */
function withRealPauses(ledger: Ledger, env: Env): Ledger {
  const pausing: Env = { ...systemEnv, now: env.now, uuid: env.uuid }
  return new Proxy(ledger, {
    get(target, name: keyof Ledger) {
      if (name === 'open') return () => target.open(pausing)
      const member: unknown = target[name]
      return typeof member === 'function' ? (member.bind(target) as unknown) : member
    },
  })
}

interface Parts {
  readonly app: App
  readonly env: ManualEnv
  readonly events: readonly EventRecord[]
  readonly errors: readonly Failed[]
  readonly deliveries: ReadonlyMap<string, FlowDelivery>
  readonly throws: boolean
}

class RunningWorld implements World {
  readonly app: App
  readonly env: ManualEnv
  readonly events: readonly EventRecord[]
  readonly errors: readonly Failed[]
  readonly #deliveries: ReadonlyMap<string, FlowDelivery>
  readonly #throws: boolean
  #thrown = 0
  #settledAt = -1

  constructor(parts: Parts) {
    this.app = parts.app
    this.env = parts.env
    this.events = parts.events
    this.errors = parts.errors
    this.#deliveries = parts.deliveries
    this.#throws = parts.throws
  }

  publish(events: Emitted | readonly Emitted[], options?: PublishOptions): Promise<Token> {
    return this.app.publish(events, options)
  }

  async settled(): Promise<void> {
    await this.app.quiet()
    this.#settledAt = this.events.length
    const failed = this.errors[this.#thrown]
    this.#thrown = this.errors.length
    if (failed && this.#throws) throw failed.error
  }

  async advance(by: Duration): Promise<void> {
    await this.settled()
    const endMs = this.env.now() + durationMs(by, 'advance')
    for (let at = this.env.nextTimerAt(); at <= endMs; at = this.env.nextTimerAt()) {
      await this.env.advance(Math.max(0, at - this.env.now()))
      await this.settled()
    }
    await this.env.advance(endMs - this.env.now())
    await this.settled()
  }

  saw<E extends EventContract<string, unknown, never>>(contract: E, match?: Match<DataOf<E>>): readonly DataOf<E>[] {
    const found = this.#matching(contract, match)
    if (found.length === 0) throw this.#failed(`an event ${contract.type}${matchText(match)}`)
    return found
  }

  neverSaw<E extends EventContract<string, unknown, never>>(contract: E, match?: Match<DataOf<E>>): void {
    if (!this.#isSettled) throw this.#failed('settled() before neverSaw()')
    if (this.#matching(contract, match).length > 0) throw this.#failed(`no event ${contract.type}${matchText(match)}`)
  }

  async flow(correlationId?: string): Promise<string> {
    const ids =
      correlationId === undefined ? [...new Set(this.events.map((event) => event.correlationId))] : [correlationId]
    const flows = await Promise.all(ids.map((id) => this.app.flow(id)))
    return flows.map((flow) => flowText(flow)).join('\n')
  }

  async stop(): Promise<void> {
    let ended = false
    const stopped = this.app.stop({ deadline: 0 }).finally(() => (ended = true))
    // Its patience is virtual time too.
    for (await this.env.breathe(); !ended; await this.env.breathe()) await this.env.advance(1)
    await stopped
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  get #isSettled(): boolean {
    return this.#settledAt === this.events.length
  }

  #matching<E extends EventContract<string, unknown, never>>(contract: E, match?: Match<DataOf<E>>): DataOf<E>[] {
    return this.events.flatMap((event) => {
      if (event.type !== contract.type) return []
      const decoded = decode(contract, event)
      if (!decoded.ok) return []
      const data = decoded.data as DataOf<E>
      const fits =
        typeof match === 'function' ? match(data) : match === undefined || matchesPattern(match as Pattern, data)
      return fits ? [data] : []
    })
  }

  #failed(expected: string): QuadrilleError {
    const flows = new Map<string, EventRecord[]>()
    for (const event of this.events) flows.set(event.correlationId, [...(flows.get(event.correlationId) ?? []), event])
    const notes = this.errors.map((failed) => ({
      at: new Date(this.env.now()),
      kind: failed.retryAt === null ? ('dead' as const) : ('retry' as const),
      service: failed.service,
      reaction: failed.reaction,
      eventId: failed.event.id,
      text: failedTry(failed.error, 0).message,
    }))
    const text = [...flows].map(([correlationId, events]): Flow => {
      const ids = new Set(events.map((event) => event.id))
      const deliveries = [...this.#deliveries.values()].filter(({ eventId }) => ids.has(eventId))
      return { correlationId, events, deliveries, notes: notes.filter((note) => ids.has(note.eventId)) }
    })
    return new QuadrilleError('EXPECTATION_FAILED', {
      expected,
      flow: text.map((flow) => flowText(flow)).join('\n') || '(nothing)',
      settled: this.#isSettled,
    })
  }
}

const matchText = (match: unknown): string =>
  match === undefined
    ? ''
    : typeof match === 'function'
      ? ` that satisfies ${String(match)}`
      : ` with ${JSON.stringify(match)}`
