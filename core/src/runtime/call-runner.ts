/**
 * Makes the calls of a reader: outside any transaction, at most `concurrency` of a reaction at once, each with a time
 * limit and an idempotency key that never changes. The intent is in the ledger before a call is made; its answer goes
 * back to the reader, which commits it with the handler's effects.
 */
import { QuadrilleError } from '../base/index.ts'
import { partitionOf } from '../contracts/index.ts'
import { flawText, jsonFlaw } from '../contracts/json-form.ts'
import type { OnReaction } from '../service/index.ts'
import { callContext } from './handler-context.ts'
import { handlingOf } from './handle.ts'
import { actionData, settleName, type PendingCall } from './on-step.ts'
import type { WantedCall } from './batch-run.ts'
import type { ReaderContext } from './reader-context.ts'
import { shownRole } from './failure-step.ts'
import { TaskFailure } from './handle.ts'
import { idempotencyKey, type Task } from './work.ts'

/** A task whose calls have ended: with its results, or with an error. */
export interface CallEnd {
  readonly task: Task
  readonly error?: unknown
  readonly failed: boolean
}

/** Work in hand: its calls wait for their turn, are under way, or have ended and are not committed yet. */
interface InHand {
  readonly wanted: WantedCall
  readonly abort: AbortController
}

/** How many calls of a reaction are kept in hand for each one that may be under way. */
const inHandFactor = 4

/** Runs calls and hands back their ends. */
export class CallRunner {
  readonly #context: ReaderContext
  readonly #ended: (end: CallEnd) => void
  readonly #inHand = new Map<string, InHand>()
  readonly #queues = new Map<Task['state'], InHand[]>()
  #closed = false

  constructor(context: ReaderContext, ended: (end: CallEnd) => void) {
    this.#context = context
    this.#ended = ended
  }

  /** How much work is in hand. */
  get size(): number {
    return this.#inHand.size
  }

  /** The partitions of the work in hand. */
  get partitions(): ReadonlySet<number> {
    return new Set([...this.#inHand.values()].map(partitionIn))
  }

  has(task: { readonly kind: string; readonly id: string }): boolean {
    return this.#inHand.has(`${task.kind}|${task.id}`)
  }

  /** How many more calls of the reaction should be taken in hand: none before half of the places are free again. */
  room(state: Task['state']): number {
    const places = state.policy.concurrency * inHandFactor
    const free = this.#free(state)
    return free * 2 < places ? 0 : free
  }

  /** Makes the calls as soon as there is a place; false when it is full: the work stays in the ledger, due. */
  offer(wanted: WantedCall): boolean {
    const { task } = wanted
    if (this.#closed || this.#free(task.state) <= 0) return false
    const inHand = { wanted, abort: new AbortController() }
    this.#inHand.set(nameOf(task), inHand)
    const queue = this.#queues.get(task.state) ?? []
    this.#queues.set(task.state, queue)
    queue.push(inHand)
    this.#next(task.state)
    return true
  }

  /** The task is committed, or given up: its record may be fetched again. */
  release(task: Task): void {
    if (task.record) this.#inHand.delete(nameOf(task))
  }

  /** Begins no further call. Those that have not begun are let go: they are still in the ledger. */
  close(): void {
    this.#closed = true
    for (const queue of this.#queues.values())
      for (const { wanted } of queue.splice(0)) this.#inHand.delete(nameOf(wanted.task))
  }

  /**
   * Lets the work of these partitions go: it is somebody else's now, or will be fetched again. Calls under way are
   * aborted, and what they still answer is heard by nobody.
   */
  drop(isGone: (partition: number) => boolean): void {
    for (const [name, inHand] of this.#inHand) {
      if (!isGone(partitionIn(inHand))) continue
      this.#inHand.delete(name)
      inHand.abort.abort()
    }
    for (const [state, queue] of this.#queues)
      this.#queues.set(
        state,
        queue.filter(({ abort }) => !abort.signal.aborted),
      )
  }

  #free(state: Task['state']): number {
    const queued = this.#queues.get(state)?.length ?? 0
    return state.policy.concurrency * inHandFactor - queued - state.calling
  }

  #next(state: Task['state']): void {
    while (state.calling < state.policy.concurrency) {
      const inHand = this.#queues.get(state)?.shift()
      if (!inHand) return
      state.calling += 1
      void this.#make(inHand).then((end) => {
        state.calling -= 1
        this.#next(state)
        if (this.#inHand.get(nameOf(end.task)) === inHand) this.#ended(end)
      })
    }
  }

  async #make({ wanted, abort }: InHand): Promise<CallEnd> {
    let { task } = wanted
    for (const call of wanted.calls) {
      const { env } = this.#context.settings
      const startedAt = env.elapsed()
      const tell = (outcome: 'answered' | 'unknown') =>
        this.#context.tell.tell('call', {
          ...handlingOf(task, shownRole(task)),
          durationMs: env.elapsed() - startedAt,
          outcome,
        })
      try {
        const answer = { value: plainJson(task, await this.#limited(task, call, abort)) }
        tell('answered')
        task = withAnswer(task, call, answer)
      } catch (thrown) {
        tell('unknown')
        return { task, error: thrown instanceof TaskFailure ? thrown.error : thrown, failed: true }
      }
    }
    return { task, failed: false }
  }

  async #limited(task: Task, call: PendingCall, abort: AbortController): Promise<unknown> {
    const { settings, tools } = this.#context
    const { callTimeoutMs } = task.state.policy
    const { signal } = abort
    const reaction = task.state.reaction as OnReaction
    const timedOut = () =>
      new QuadrilleError('CALL_TIMED_OUT', {
        reaction: `${task.state.service.name}/${reaction.name}`,
        timeoutMs: callTimeoutMs,
      })
    if (signal.aborted) throw timedOut()
    const data = (call.kind === 'action' ? task.data : actionData(task, call.action)) as never
    const over = Promise.withResolvers<never>()
    const stop = (): void => over.reject(timedOut())
    signal.addEventListener('abort', stop)
    const cancel = settings.env.timer(callTimeoutMs, () => abort.abort())
    const key = `${idempotencyKey({ state: task.state, event: call.action.event })}${call.kind === 'undo' ? ':undo' : ''}`
    const context = callContext(task, tools, { key, signal })
    // What throws at once is a rejection like any other: somebody has to wait for `over`.
    const make = async (): Promise<unknown> =>
      call.kind === 'undo'
        ? reaction.undo!.call!(data, { ...context, done: call.action.result?.value } as never)
        : reaction.call!(data, context as never)
    const handlings = [handlingOf(task, shownRole(task))]
    const traced = settings.tracing?.begin({ what: 'call', handlings })
    try {
      const answer: unknown = await Promise.race([traced ? traced.inside(make) : make(), over.promise])
      traced?.ended()
      return answer
    } catch (error) {
      traced?.ended({ error })
      throw error
    } finally {
      cancel()
      signal.removeEventListener('abort', stop)
    }
  }
}

const partitionIn = ({ wanted }: InHand): number => partitionOf(wanted.task.event.key)

const nameOf = (task: Task): string => `${task.record!.kind}|${task.record!.id}`

function withAnswer(task: Task, call: PendingCall, answer: { readonly value?: unknown }): Task {
  if (call.kind === 'action') return { ...task, result: answer }
  const name = call.kind === 'undo' ? call.action.event.id : settleName(call.action.event.id)
  return { ...task, undone: { ...task.undone, [name]: answer } }
}

/**
 * What the handler gets is what a retry would get: the answer after its way through JSON. What JSON would change is
 * refused, for the handler would decide by what is no longer there.
 */
function plainJson(task: Task, value: unknown): unknown {
  if (value === undefined) return undefined
  const refuse = (message: string, cause?: unknown): never => {
    const reaction = `${task.state.service.name}/${task.state.reaction.name}`
    throw new QuadrilleError('CALL_RESULT_NOT_JSON', { reaction, message }, cause)
  }
  const flaw = jsonFlaw(value)
  if (flaw) return refuse(flawText(flaw))
  try {
    return JSON.parse(JSON.stringify(value)) as unknown
  } catch (error) {
    return refuse((error as Error).message, error)
  }
}
