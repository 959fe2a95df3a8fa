/**
 * The handlers of an app that have returned a promise and have not ended yet. Who holds a transaction open for long is named
 * while he does: if he never ends there is no later. One timer for all of them, set only while there are any.
 */
import type { Cancel } from '../base/index.ts'
import type { Settings } from './settings.ts'
import type { Task } from './work.ts'

/** Whoever holds the transaction open for so long, and longer than `slowHandler`, is named by `health()`, milliseconds. */
const stuckMs = 5_000

/** A handler under way. */
export interface RunningHandler {
  readonly tasks: readonly Task[]
  /** Since when it is what the transaction waits for, by the monotonic clock: side by side, since another one has ended. */
  readonly holdsSince: () => number
  /** Set when it has been warned about. */
  isWarned: boolean
}

/** Knows what runs. */
export class RunningHandlers {
  readonly #settings: Pick<Settings, 'env' | 'log' | 'slowHandlerMs'>
  readonly #running = new Set<RunningHandler>()
  #cancel: Cancel | undefined
  #stopped = false

  constructor(settings: Pick<Settings, 'env' | 'log' | 'slowHandlerMs'>) {
    this.#settings = settings
  }

  add(handler: RunningHandler): void {
    this.#running.add(handler)
    if (this.#cancel === undefined) this.#lookIn(this.#settings.slowHandlerMs)
  }

  remove(handler: RunningHandler): void {
    this.#running.delete(handler)
  }

  /** True while one has not ended. */
  get some(): boolean {
    return this.#running.size > 0
  }

  /** Plain sentences on those that have held their transaction for very long. */
  problems(): readonly string[] {
    const { env, slowHandlerMs } = this.#settings
    const found: string[] = []
    for (const { tasks, holdsSince } of this.#running) {
      const heldMs = env.elapsed() - holdsSince()
      if (heldMs >= stuckMs && heldMs > slowHandlerMs)
        found.push(`${nameOf(tasks)} has held the transaction for ${Math.round(heldMs / 1_000)} s and is still running`)
    }
    return found
  }

  /** Warns no more. */
  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }

  /** One millisecond later: whoever takes just as long as he may is not warned about. */
  #lookIn(waitMs: number): void {
    if (!this.#stopped) this.#cancel = this.#settings.env.timer(waitMs + 1, () => this.#look())
  }

  #look(): void {
    const { env, slowHandlerMs } = this.#settings
    this.#cancel = undefined
    let waitMs = Infinity
    for (const handler of this.#running) {
      if (handler.isWarned) continue
      const heldMs = env.elapsed() - handler.holdsSince()
      if (heldMs > slowHandlerMs) this.#warn(handler, heldMs)
      else waitMs = Math.min(waitMs, slowHandlerMs - heldMs)
    }
    if (waitMs < Infinity) this.#lookIn(waitMs)
  }

  #warn(handler: RunningHandler, heldMs: number): void {
    const [{ state, event }] = handler.tasks as [Task]
    handler.isWarned = true
    this.#settings.log.warn(
      {
        service: state.service.name,
        reaction: state.reaction.name,
        heldMs: Math.round(heldMs),
        eventId: event.id,
      },
      `${nameOf(handler.tasks)} has held the transaction open for ${Math.round(heldMs)} ms and is still running; move what is slow into \`call\``,
    )
  }
}

const nameOf = ([task]: readonly Task[]): string => `${task!.state.service.name}/${task!.state.reaction.name}`
