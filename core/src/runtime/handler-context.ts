/** What handlers and calls get besides the data. Made once for each handling, so what is rarely used is made when asked for. */
import type { Env, Logger } from '../base/index.ts'
import type { EventRecord } from '../contracts/index.ts'
import type { CallContext, EventView, HandlerContext } from '../service/index.ts'
import { idempotencyKey, type Task } from './work.ts'

/** What all contexts of an app share: functions that work without their object. */
export interface ContextTools {
  readonly log: Logger
  readonly now: () => Date
  readonly random: () => number
  readonly uuid: () => string
  /** Aborted when stop() no longer waits. */
  readonly signal: AbortSignal
}

/** The tools of an app. */
export function contextTools(env: Env, log: Logger, signal: AbortSignal): ContextTools {
  return { log, signal, now: () => new Date(env.now()), random: () => env.random(), uuid: () => env.uuid() }
}

/** The envelope as handlers see it. */
export function eventView(event: EventRecord): EventView {
  const { id, type, version, source, key, correlationId, causationId, hops, position, traceparent, tracestate } = event
  const time = new Date(event.time)
  return { id, type, version, source, key, correlationId, causationId, hops, time, position, traceparent, tracestate }
}

export class TaskContext implements HandlerContext {
  readonly log: Logger
  readonly now: () => Date
  readonly random: () => number
  readonly uuid: () => string
  readonly signal: AbortSignal
  readonly result: unknown
  /** For `undo.run`: what the action's call returned. */
  readonly done: unknown
  readonly #task: Task
  readonly #openDb: () => unknown

  constructor(task: Task, tools: ContextTools, more: { openDb: () => unknown; result?: unknown; done?: unknown }) {
    this.log = tools.log
    this.now = tools.now
    this.random = tools.random
    this.uuid = tools.uuid
    this.signal = tools.signal
    this.result = more.result
    this.done = more.done
    this.#task = task
    this.#openDb = more.openDb
  }

  get db(): unknown {
    return this.#openDb()
  }

  get event(): EventView {
    return eventView(this.#task.event)
  }

  get attempt(): number {
    return this.#task.failed + 1
  }

  get idempotencyKey(): string {
    return idempotencyKey(this.#task)
  }

  get replay(): boolean {
    return this.#task.event.position <= this.#task.state.replayUntil
  }
}

export function callContext(task: Task, tools: ContextTools, more: { key: string; signal: AbortSignal }): CallContext {
  const { log, now } = tools
  return {
    idempotencyKey: more.key,
    signal: more.signal,
    attempt: task.failed + 1,
    event: eventView(task.event),
    log,
    now,
  }
}
