/**
 * From a page of the log to tasks: which reactions each event concerns, and what forbids to handle it. To know whom it
 * concerns is to run code of the user: schemas, upcasts and filters.
 */
import { QuadrilleError } from '../base/index.ts'
import { matches, partitionOf, type EventRecord } from '../contracts/index.ts'
import type { ReadPage } from '../ledger/index.ts'
import { decideFailure } from './batch-run.ts'
import type { Caution } from './caution.ts'
import { decode, type Decoded } from './decoder.ts'
import type { Failure } from './failure-step.ts'
import type { LeaseKeeper } from './lease-keeper.ts'
import type { ReactionState, Route } from './plan.ts'
import { triggersOf } from '../service/index.ts'
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

/** What of a page has been looked at, and how many of its events lead to tasks. */
export interface Looked {
  readonly page: ReadPage
  readonly concerned: number
}

/**
 * Adds the tasks of a page: events in order, and for each its reactions in the order of declaration. Stops when `limit`
 * events have led to tasks: what is returned ends with the last event that was looked at.
 */
export async function addPage(
  page: ReadPage,
  at: {
    readonly context: ReaderContext
    readonly leases: LeaseKeeper
    readonly caution: Caution
    readonly limit: number
  },
  list: TaskList,
): Promise<Looked> {
  const { context, leases, caution, limit } = at
  const { routes } = context.plan
  const { events } = page
  let concerned = 0
  for (let looked = 0; looked < events.length; looked++) {
    if (concerned === limit) {
      const seen = events.slice(0, looked)
      return { page: { ...page, events: seen, upTo: seen.at(-1)!.position, end: false }, concerned }
    }
    const event = events[looked]!
    const routed = routes.get(event.type)
    if (routed === undefined || !leases.wants(partitionOf(event.key), event.position)) continue
    const stop = context.conversations.check(event.correlationId)
    const total = stop instanceof Promise ? await stop : stop
    const before = list.tasks.length
    const died = caution.diedOf(event)
    if (died !== undefined) addUnseen(event, { context, concerned: routed, process: died }, list)
    else addEvent(event, routed, list)
    if (list.tasks.length > before) concerned += 1
    for (let added = before; added < list.tasks.length; added++) {
      const task = list.tasks[added]!
      if (total !== null) refuse(list, task, overBudget(context, task, total))
      else if (event.hops > task.state.policy.maxHops) refuse(list, task, await tooManyHops(context, task))
    }
  }
  return { page, concerned }
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
  const seen = look(route, event)
  if (seen === null) return null
  if (seen.ok) return taskOf(event, route, seen.data)
  const task: Task = { ...taskOf(event, route, undefined), unseen: true }
  refuse(list, task, seen.error)
  return task
}

const taskOf = (event: EventRecord, { state, role, index }: Route, data: unknown): Task => ({
  state,
  role,
  index,
  event,
  data,
  failed: 0,
  tries: noTries,
  redrives: 0,
  record: null,
})

/** To look at the event has killed a process, so nobody knows whom it concerns: it is parked for all whom it may. */
function addUnseen(
  event: EventRecord,
  found: { readonly context: ReaderContext; readonly concerned: readonly Route[]; readonly process: string },
  list: TaskList,
): void {
  for (const route of found.concerned) {
    if (event.position <= route.state.since) continue
    addDied(list, { ...taskOf(event, route, undefined), unseen: true }, found)
  }
}

/** What the event says to the reaction: its data, why it has none, or null when it is not for it. */
export function look({ state, role, trigger }: Omit<Route, 'index'>, event: EventRecord): Decoded | null {
  const decoded = decode(trigger.contract, event)
  if (!decoded.ok) return decoded
  if (!matches(trigger, decoded.data)) return null
  const { reaction } = state
  if (role !== 'trigger' || reaction.kind !== 'on' || reaction.filter === undefined) return decoded
  try {
    return reaction.filter(decoded.data as never) ? decoded : null
  } catch (error) {
    return { ok: false, error }
  }
}

/** Adds a task of which a process has died. */
export function addDied(
  list: TaskList,
  task: Task,
  { context, process }: { readonly context: ReaderContext; readonly process: string },
): void {
  const error = new QuadrilleError('PROCESS_DIED', { reaction: whereOf(task), process })
  list.tasks.push(task)
  list.failures.set(task, decideFailure(context, task, error))
}

const nothing: Decoded = { ok: true, data: undefined }

/** Adds what comes from a record, with its data; when that can not be decoded, as a failure. */
export function addFromRecord(list: TaskList, bare: Task): void {
  const seen = bare.unseen ? lookLate(bare) : dataOf(bare)
  if (seen === null) list.tasks.push({ ...bare, foreign: true })
  else if (seen.ok) list.tasks.push({ ...bare, data: seen.data, unseen: undefined })
  else {
    list.tasks.push(bare)
    refuse(list, bare, seen.error)
  }
}

function lookLate({ state, role, index, event }: Task): Decoded | null {
  const route = triggersOf(state.reaction).find((each) => each.role === role && each.index === index)
  return route === undefined ? null : look({ state, role: route.role, trigger: route.trigger }, event)
}

/** The data of an event that is known to be for the reaction; undefined in a part that does not need it. */
function dataOf({ state: { reaction }, role, event }: Task): Decoded {
  if (role !== 'trigger' && role !== 'deadline') return nothing
  if (reaction.kind === 'all') return nothing
  return decode((reaction.kind === 'on' ? reaction.trigger : reaction.start).contract, event)
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
