/**
 * Deadlines: one timer record by reaction and key.
 *
 *     (none) --start--> armed --unless--> settled
 *                         \--time over--> fired          settled and fired are final
 *     (none) --unless--> settled                         an `unless` that comes first settles it before it is armed
 *
 * A timer whose handler fails, or has to wait for its lane, stays armed without a due time, and goes on as work: what
 * comes for its key waits behind it. Only as a dead letter can it still be settled; a redrive then does nothing.
 *
 * A timer fires only when everything that was in the log by then has been read: an `unless` that has come in time but
 * waits in a backlog still settles it.
 */
import { partitionOf } from '../contracts/index.ts'
import type { DeadlineReaction } from '../service/index.ts'
import type { BatchTx } from './batch-tx.ts'
import { handle, handlingOf } from './handle.ts'
import { laneOfTask, type Task } from './work.ts'

interface Timer {
  readonly state: 'armed' | 'settled' | 'fired'
}

const reactionOf = (task: Task): DeadlineReaction => task.state.reaction as DeadlineReaction

/** The id of the timer record of a task's deadline. */
export const timerId = laneOfTask

async function loadTimer(batch: BatchTx, task: Task): Promise<Timer['state'] | undefined> {
  const record = await batch.record(task.state.kinds.timer, timerId(task))
  return record && (JSON.parse(record.body) as Timer).state
}

function saveTimer(batch: BatchTx, task: Task, timer: Timer & { readonly due?: number }): void {
  const { memoryMs } = batch.context.settings.retention
  const { state, due = null } = timer
  const armed = state === 'armed'
  batch.put({
    scope: batch.context.plan.reader,
    kind: task.state.kinds.timer,
    id: timerId(task),
    partition: partitionOf(task.event.key),
    lane: null,
    seq: 0,
    due,
    expires: armed ? null : batch.nowMs + memoryMs,
    body: JSON.stringify(armed ? { state, event: task.event } : { state }),
  })
}

/** The starting event: arms the timer, unless it is armed or settled already. */
export async function runStart(batch: BatchTx, task: Task): Promise<void> {
  if ((await loadTimer(batch, task)) === undefined)
    saveTimer(batch, task, { state: 'armed', due: task.event.time + reactionOf(task).withinMs })
  return batch.done(task)
}

/** An event that settles the deadline. */
export async function runUnless(batch: BatchTx, task: Task): Promise<void> {
  const state = await loadTimer(batch, task)
  if (state === undefined || state === 'armed') saveTimer(batch, task, { state: 'settled' })
  return batch.done(task)
}

/** The time is over. */
export async function runDeadline(batch: BatchTx, task: Task): Promise<void> {
  if ((await loadTimer(batch, task)) !== 'armed') return batch.done(task)
  const reaction = reactionOf(task)
  const data = task.data as never
  await handle(batch, [task], {
    role: 'deadline',
    declared: reaction.emits,
    run: (context) => reaction.run(data, context as never),
  })
  saveTimer(batch, task, { state: 'fired' })
  batch.note(
    handlingOf(task, 'deadline'),
    'deadline',
    `none of ${reaction.unless.map((trigger) => trigger.type).join(', ')} came in time`,
  )
  return batch.done(task)
}

/** A timer whose handler has failed, or has to wait for its lane, is work from now on: it is no longer due by itself. */
export function consumeTimer(batch: BatchTx, task: Task): void {
  if (task.record === null && task.role === 'deadline') saveTimer(batch, task, { state: 'armed' })
  if (task.record === null && task.role === 'late')
    batch.remove({ scope: batch.context.plan.reader, kind: task.state.kinds.timer, id: timerId(task) })
}
