/** Runs one handler of the user and takes what it returns. Every step that runs a handler goes through here. */
import type { Returned } from '../service/index.ts'
import type { AnyContract, NewEvent } from '../contracts/index.ts'
import type { BatchTx } from './batch-tx.ts'
import { emittedList, newEvents } from './emit.ts'
import { TaskContext } from './handler-context.ts'
import type { Handling } from './hooks.ts'
import type { Soon } from './soon.ts'
import type { Task } from './work.ts'

/** What a handler of the user has thrown, or returned wrongly, for one task: the batch is run again without it. */
export class TaskFailure {
  readonly tasks: readonly Task[]
  readonly error: unknown

  constructor(tasks: readonly Task[], error: unknown) {
    this.tasks = tasks
    this.error = error
  }
}

/** One run of a handler. */
export interface HandlerRun {
  readonly role: Handling['role']
  readonly declared: readonly AnyContract[]
  readonly run: (context: TaskContext) => unknown
  readonly result?: unknown
  readonly done?: unknown
}

/** The task as the hooks see it. */
export const handlingOf = (task: Task, role: Handling['role']): Handling => ({
  service: task.state.service.name,
  reaction: task.state.reaction.name,
  event: task.event,
  role,
  attempt: task.failed + 1,
})

/**
 * Runs a handler for the tasks (one, or a whole batch of one reaction) and collects the events it returns.
 *
 * @throws TaskFailure when it throws, also for a collision, or returns something wrong.
 */
export function handle(batch: BatchTx, tasks: readonly Task[], how: HandlerRun): Soon<void> {
  const { tools, settings } = batch.context
  const first = tasks[0]!
  const context = new TaskContext(first, tools, { openDb: batch.opener(tasks), result: how.result, done: how.done })
  const startedAt = settings.env.elapsed()
  const failed = (error: unknown): never => {
    throw new TaskFailure(tasks, error)
  }
  const take = (returned: Returned): void => {
    // It has caught an error after which nothing can commit. The next one would meet it, and be blamed.
    if (batch.tx.broken) failed(batch.tx.broken.error)
    try {
      batch.emit(eventsOf(batch, tasks, { how, returned }), tasks)
    } catch (error) {
      failed(error)
    }
    handled(batch, tasks, { how, heldMs: batch.held(startedAt, settings.env.elapsed()) })
  }
  let returned: unknown
  try {
    returned = how.run(context)
  } catch (error) {
    failed(error)
  }
  // Query builders return thenables that are no promises.
  const isLater = typeof (returned as { then?: unknown } | undefined | null)?.then === 'function'
  return isLater ? Promise.resolve(returned as Promise<Returned>).then(take, failed) : take(returned as Returned)
}

const noEvents: readonly NewEvent[] = []

function eventsOf(
  batch: BatchTx,
  tasks: readonly Task[],
  { how, returned }: { readonly how: HandlerRun; readonly returned: Returned },
): readonly NewEvent[] {
  const first = tasks[0]!
  const where = whereOf(first)
  const list = emittedList(returned, where)
  if (list.length === 0) return noEvents
  const { name } = first.state.reaction
  const emitter = { where, source: first.state.service.name, reaction: name, declared: how.declared }
  if (tasks.length === 1) return newEvents(list, { ...emitter, cause: first.event }, batch.context.settings)
  // What a batch emits for a key belongs to the conversation of the event with that key.
  const causes = new Map(tasks.map((task) => [task.event.key, task.event]))
  const last = tasks[tasks.length - 1]!.event
  return list.flatMap((one) =>
    newEvents([one], { ...emitter, cause: causes.get(one.key) ?? last }, batch.context.settings),
  )
}

/** What is told after the commit about a handler that has done its work. */
function handled(
  batch: BatchTx,
  tasks: readonly Task[],
  { how, heldMs }: { readonly how: HandlerRun; readonly heldMs: number },
): void {
  const { tell, settings } = batch.context
  const first = tasks[0]!
  const { breaker, reaction, service } = first.state
  if (heldMs > settings.slowHandlerMs) warnSlow(batch, handlingOf(first, how.role), heldMs)
  if (breaker) {
    batch.after(() => {
      const closed = breaker.succeeded()
      if (closed) tell.tell('breaker', { service: service.name, reaction: reaction.name, state: 'closed', until: 0 })
    })
  }
  if (!tell.wants('handled')) return
  const emitted = batch.lastEmitted.map((event) => event.id)
  batch.after(() => {
    for (const task of tasks) {
      const facts = { ageMs: settings.env.now() - task.event.time, handlerMs: heldMs / tasks.length, emitted }
      tell.tell('handled', { ...handlingOf(task, how.role), ...facts })
    }
  })
}

const whereOf = (task: Task): string => `${task.state.service.name}/${task.state.reaction.name}`

function warnSlow(batch: BatchTx, handling: Handling, heldMs: number): void {
  const { service, reaction } = handling
  batch.context.tools.log.warn(
    { service, reaction, heldMs: Math.round(heldMs), eventId: handling.event.id },
    `${service}/${reaction} held the transaction open for ${Math.round(heldMs)} ms; move what is slow into \`call\``,
  )
  batch.after(() => batch.context.tell.tell('slow', { ...handling, heldMs }))
}
