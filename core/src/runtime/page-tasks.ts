/** From a page of the log to tasks: which reactions each event concerns, and what forbids to handle it. */
import { QuadrilleError } from '../base/index.ts'
import { matches, partitionOf, type EventRecord } from '../contracts/index.ts'
import type { ReadPage } from '../ledger/index.ts'
import { decode } from './decoder.ts'
import type { Failure } from './failure-step.ts'
import type { LeaseKeeper } from './lease-keeper.ts'
import type { ReactionState, Route } from './plan.ts'
import type { ReaderContext } from './reader-context.ts'
import type { Task } from './work.ts'

/** Where tasks are collected, with the failures that are known before anything was tried. */
export interface TaskList {
  readonly tasks: Task[]
  readonly failures: Map<Task, Failure>
  /** Work that must be marked before it is handled, together, and how much of it at most. */
  readonly suspects: Task[]
  suspectsMax: number
}

const noTries: Task['tries'] = []
/** An empty one. */
export const newTaskList = (): TaskList => ({ tasks: [], failures: new Map(), suspects: [], suspectsMax: Infinity })

/** How far back a chain of causes is shown. */
const pathMax = 30

/** Adds the tasks of a page: events in order, and for each its reactions in the order of declaration. */
export async function addPage(
  page: ReadPage,
  at: { readonly context: ReaderContext; readonly leases: LeaseKeeper },
  list: TaskList,
): Promise<void> {
  const { context, leases } = at
  const { routes } = context.plan
  for (const event of page.events) {
    const concerned = routes.get(event.type)
    if (concerned === undefined || !leases.wants(partitionOf(event.key), event.position)) continue
    const stop = context.conversations.check(event.correlationId)
    const total = stop instanceof Promise ? await stop : stop
    const before = list.tasks.length
    addEvent(event, concerned, list)
    for (let added = before; added < list.tasks.length; added++) {
      const task = list.tasks[added]!
      if (total !== null) refuse(list, task, overBudget(context, task, total))
      else if (event.hops > task.state.policy.maxHops) refuse(list, task, await tooManyHops(context, task))
    }
  }
}

function addEvent(event: EventRecord, concerned: readonly Route[], list: TaskList): void {
  let broken: Set<ReactionState> | undefined
  for (const route of concerned) {
    if (event.position <= route.state.since || broken?.has(route.state)) continue
    const task = routed(event, route, list)
    if (task === null) continue
    if (list.failures.has(task)) (broken ??= new Set()).add(route.state)
    list.tasks.push(task)
  }
}

function routed(event: EventRecord, route: Route, list: TaskList): Task | null {
  const { state, role, index, trigger } = route
  const decoded = decode(trigger.contract, event)
  const data = decoded.ok ? decoded.data : undefined
  if (decoded.ok && !matches(trigger, data)) return null
  const task: Task = { state, role, index, event, data, failed: 0, tries: noTries, redrives: 0, record: null }
  if (!decoded.ok) {
    refuse(list, task, decoded.error)
    return task
  }
  const { reaction } = state
  if (role !== 'trigger' || reaction.kind !== 'on' || reaction.filter === undefined) return task
  try {
    return reaction.filter(data as never) ? task : null
  } catch (error) {
    refuse(list, task, error)
    return task
  }
}

/** The task fails without having been tried. */
export function refuse(list: TaskList, task: Task, error: unknown): void {
  list.failures.set(task, { error, pausedUntil: null, jitter: 0.5 })
}

const whereOf = ({ state }: Task): string => `${state.service.name}/${state.reaction.name}`

function overBudget(context: ReaderContext, task: Task, events: number): QuadrilleError {
  const { correlationId } = task.event
  const details = { correlationId, events, limit: context.conversations.limit, reaction: whereOf(task) }
  return new QuadrilleError('CONVERSATION_BUDGET_EXCEEDED', details)
}

async function tooManyHops(context: ReaderContext, task: Task): Promise<QuadrilleError> {
  const events = await context.ledger.find({ correlationId: task.event.correlationId, limit: 1_000 })
  const byId = new Map(events.map((event) => [event.id, event]))
  const path: string[] = []
  let at: EventRecord | undefined = task.event
  while (at && path.length < pathMax) {
    path.unshift(at.type)
    at = at.causationId === null ? undefined : byId.get(at.causationId)
  }
  const details = { reaction: whereOf(task), hops: task.event.hops, limit: task.state.policy.maxHops, path }
  return new QuadrilleError('HOPS_EXCEEDED', details)
}
