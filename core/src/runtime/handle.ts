/** Runs one handler of the user and takes what it returns. Every step that runs a handler goes through here. */
import { QuadrilleError, type TxHandle } from '../base/index.ts'
import type { Returned } from '../service/index.ts'
import type { AnyContract, NewEvent } from '../contracts/index.ts'
import type { BatchTx } from './batch-tx.ts'
import { emittedList, newEvents } from './emit.ts'
import { TaskContext } from './handler-context.ts'
import type { Handling } from './hooks.ts'
import type { RunningHandler } from './running-handlers.ts'
import type { Soon } from './soon.ts'
import type { TraceOrigin, Traced } from './tracing.ts'
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
  /** Where the parts of a join come from. */
  readonly linked?: readonly TraceOrigin[]
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
  const { tools, settings, running } = batch.context
  const opener = batch.opener(tasks)
  const own = batch.tx.side && opener === batch.openDb ? ownHandle(batch) : undefined
  const openDb = own?.open ?? opener
  const context = new TaskContext(tasks[0]!, tools, { openDb, result: how.result, done: how.done })
  const traced = settings.tracing?.begin({
    what: 'handler',
    handlings: tasks.map((task) => handlingOf(task, how.role)),
    ...(how.linked && { linked: how.linked }),
  })
  const startedAt = settings.env.elapsed()
  const holdsSince = () => batch.holdsSince(startedAt)
  const ran: Ran = { tasks, how, startedAt, traced, own, holdsSince, isWarned: false }
  let returned: unknown
  try {
    returned = traced ? traced.inside(() => how.run(context)) : how.run(context)
  } catch (error) {
    throw failureOf(ran, error)
  }
  // Query builders return thenables that are no promises.
  if (typeof (returned as { then?: unknown } | undefined | null)?.then !== 'function')
    return ended(batch, ran, returned as Returned)
  running.add(ran)
  return Promise.resolve(returned as Promise<Returned>).then(
    (later) => {
      running.remove(ran)
      return ended(batch, ran, later)
    },
    (error: unknown) => {
      running.remove(ran)
      throw failureOf(ran, error)
    },
  )
}

/** The handle of one handler. */
interface OwnHandle {
  readonly open: () => unknown
  readonly close: () => Promise<void> | undefined
}

/**
 * Where the ledger can, a handler that runs alone has a handle of its own, which ends with it: what it has not waited for
 * is its own doing, and it sends nothing while another handler runs. Side by side they have their own anyway, and what goes
 * wrong is run again alone.
 */
function ownHandle({ tx, context }: BatchTx): OwnHandle {
  let handle: TxHandle | undefined
  let db: unknown
  let isOpen = true
  return {
    open: () => {
      if (handle) return db
      if (!isOpen) throw new QuadrilleError('HANDLE_CLOSED', { what: 'the handle' })
      const made = tx.side!(() => {})
      db = context.plan.service.db?.open(made)
      handle = made
      return db
    },
    close: () => {
      isOpen = false
      return handle?.close?.()
    },
  }
}

/** A handler that runs, or has run. */
interface Ran extends RunningHandler {
  readonly how: HandlerRun
  readonly startedAt: number
  readonly traced: Traced | undefined
  readonly own: OwnHandle | undefined
}

function failureOf({ tasks, traced, own }: Ran, error: unknown): TaskFailure {
  void own?.close()
  traced?.ended({ error })
  return new TaskFailure(tasks, error)
}

/** Takes what it has returned, when all is answered that it has sent: an answer may be that it has failed. */
function ended(batch: BatchTx, ran: Ran, returned: Returned): Soon<void> {
  const unanswered = ran.own?.close()
  return unanswered ? unanswered.then(() => take(batch, ran, returned)) : take(batch, ran, returned)
}

function take(batch: BatchTx, ran: Ran, returned: Returned): void {
  const { tasks } = ran
  // It has caught an error after which nothing can commit. The next one would meet it, and be blamed.
  if (batch.tx.broken) throw failureOf(ran, batch.tx.broken.error)
  let events: readonly NewEvent[]
  try {
    events = eventsOf(batch, ran, returned)
    batch.emit(events, tasks)
  } catch (error) {
    throw failureOf(ran, error)
  }
  ran.traced?.ended()
  handled(batch, ran, events)
}

const noEvents: readonly NewEvent[] = []

function eventsOf(batch: BatchTx, { tasks, how, traced }: Ran, returned: Returned): readonly NewEvent[] {
  if (returned === undefined || returned === null) return noEvents
  const { state } = tasks[0]!
  const where = `${state.service.name}/${state.reaction.name}`
  const emitter = {
    where,
    source: state.service.name,
    reaction: state.reaction.name,
    cause: tasks[tasks.length - 1]!.event,
    declared: how.declared,
    trace: traced?.context,
    // What a batch emits for a key belongs to the conversation of the event with that key.
    causes: tasks.length === 1 ? undefined : new Map(tasks.map((task) => [task.event.key, task.event])),
  }
  return newEvents(emittedList(returned, where), emitter, batch.context.settings)
}

/** What is told after the commit about a handler that has done its work. */
function handled(batch: BatchTx, { tasks, how, startedAt, isWarned }: Ran, emitted: readonly NewEvent[]): void {
  const { tell, settings } = batch.context
  const heldMs = batch.held(startedAt, settings.env.elapsed())
  const first = tasks[0]!
  const { breaker, reaction, service } = first.state
  if (heldMs > settings.slowHandlerMs) warnSlow(batch, handlingOf(first, how.role), { heldMs, isWarned })
  if (breaker) {
    batch.after(() => {
      const closed = breaker.succeeded()
      if (closed) tell.tell('breaker', { service: service.name, reaction: reaction.name, state: 'closed', until: 0 })
    })
  }
  if (!tell.wants('handled')) return
  batch.after(() => {
    const ids = emitted.map((event) => event.id)
    for (const task of tasks)
      tell.tell('handled', {
        service: service.name,
        reaction: reaction.name,
        event: task.event,
        role: how.role,
        attempt: task.failed + 1,
        ageMs: settings.env.now() - task.event.time,
        handlerMs: heldMs / tasks.length,
        emitted: ids,
      })
  })
}

/** What was a warning while it ran is for those who want to know how long it has taken. */
function warnSlow(
  batch: BatchTx,
  handling: Handling,
  { heldMs, isWarned }: { readonly heldMs: number; readonly isWarned: boolean },
): void {
  const { service, reaction } = handling
  batch.context.tools.log[isWarned ? 'info' : 'warn'](
    { service, reaction, heldMs: Math.round(heldMs), eventId: handling.event.id },
    `${service}/${reaction} held the transaction open for ${Math.round(heldMs)} ms; move what is slow into \`call\``,
  )
  batch.after(() => batch.context.tell.tell('slow', { ...handling, heldMs }))
}
