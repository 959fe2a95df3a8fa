/** Reactions that do not take events one by one: `batch` collects several, `coalesce` keeps the latest of each key. */
import { durationMs } from '../base/index.ts'
import { partitionOf } from '../contracts/index.ts'
import type { LedgerRecord } from '../ledger/index.ts'
import type { OnReaction } from '../service/index.ts'
import type { BatchTx } from './batch-tx.ts'
import { eventView, type TaskContext } from './handler-context.ts'
import { handle, handlingOf } from './handle.ts'
import { whenThere, type Soon } from './soon.ts'
import type { TraceOrigin } from './tracing.ts'
import { laneOfTask, workId, type Task } from './work.ts'

/** How often the latest event of a key looks whether the one before it is done, at most. */
const againMs = 100

const reactionOf = (task: Task): OnReaction => task.state.reaction as OnReaction

/** True when events of the reaction may wait for more before they are handled. */
export const collectsMs = (reaction: OnReaction): number => durationMs(reaction.batch?.within ?? 0, 'batch.within')

/** Keeps an event until its batch is full or has waited long enough. */
export function collect(batch: BatchTx, task: Task): void {
  batch.put({
    scope: batch.context.plan.reader,
    kind: task.state.kinds.batch,
    id: workId(task),
    partition: partitionOf(task.event.key),
    lane: laneOfTask(task),
    seq: task.event.position,
    due: batch.nowMs + collectsMs(reactionOf(task)),
    expires: null,
    body: JSON.stringify({ event: task.event }),
  })
  batch.after(() => {
    task.state.collected += 1
    if (task.state.collected >= reactionOf(task).batch!.size) task.state.nextDue.set(task.state.kinds.batch, 0)
  })
}

/** The position of the first event that a coalesced one stands for. */
export function standsSince({ body, seq }: LedgerRecord): number {
  return (JSON.parse(body) as { readonly since?: number }).since ?? seq
}

/** True where only the latest event of a key counts. */
export const isCoalescing = (task: Task): boolean => reactionOf(task).coalesce !== undefined

/** The latest event of a key can not be handled yet: until then a later one still takes its place. */
export function postponeCoalesced(batch: BatchTx, task: Task, until: number): void {
  const withinMs = durationMs(reactionOf(task).coalesce!.within, 'coalesce.within')
  batch.put({ ...task.collected!, due: Math.max(until, batch.nowMs + Math.max(withinMs, againMs)) })
}

/** What a handler that takes several at once gets of one of them: the data of an event, or of the parts of a join. */
export interface Member {
  readonly task: Task
  readonly data: unknown
  /** Where the parts of a join come from. */
  readonly linked?: readonly TraceOrigin[]
}

/** Hands several events, or complete joins, to the handler at once. */
export function runTogether(batch: BatchTx, members: readonly Member[]): Soon<void> {
  const tasks = members.map(({ task }) => task)
  const { reaction } = tasks[0]!.state
  const data = members.map((member) => member.data) as never
  const run = (context: TaskContext) => reaction.run(data, withEvents(context, tasks) as never)
  const linked = members.flatMap((member) => member.linked ?? [])
  const how = { role: 'run', declared: reaction.emits, run, linked } as const
  return whenThere(handle(batch, tasks, how), () => allDone(batch, tasks))
}

async function allDone(batch: BatchTx, tasks: readonly Task[]): Promise<void> {
  for (const task of tasks) {
    const done = batch.done(task)
    if (done) await done
  }
}

function withEvents(context: TaskContext, tasks: readonly Task[]): TaskContext {
  return Object.defineProperty(context, 'events', { get: () => tasks.map((task) => eventView(task.event)) })
}

/** Keeps the latest event of a key; the time at which it is handled is that of the first. */
export async function coalesce(batch: BatchTx, task: Task): Promise<void> {
  const kind = task.state.kinds.coalesce
  const id = task.event.key
  const kept = await batch.record(kind, id)
  if (kept) batch.after(() => batch.context.tell.tell('skipped', { ...handlingOf(task, 'run'), why: 'coalesced' }))
  batch.put({
    scope: batch.context.plan.reader,
    kind,
    id,
    partition: partitionOf(task.event.key),
    lane: laneOfTask(task),
    seq: task.event.position,
    due: kept?.due ?? batch.nowMs + durationMs(reactionOf(task).coalesce!.within, 'coalesce.within'),
    expires: null,
    body: JSON.stringify({ event: task.event, since: kept ? standsSince(kept) : task.event.position }),
  })
}
