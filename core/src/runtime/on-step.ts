/**
 * Handling one event in an `on` reaction, and undoing it. Both go through the same lane, and meet at a fence: a record
 * by reaction and key that commits together with the effect.
 *
 *     (none) --action--> done --undo--> undone        an action that happened is undone, once
 *     (none) --undo----> cancelled                    an action that has not happened never will
 *     (none) --call of the action became a dead letter--> unknown --undo--> undone
 *                                                     the undo first asks again with the same key what happened
 *
 * `cancelled` and `undone` are tombstones: they stay as long as ids are remembered (see ./memory-rounds.ts), and for as long
 * as a dead letter of action or undo may be redriven. Source: the fence table of Seata's
 * TCC mode ("empty rollback" and "suspension").
 */
import { partitionOf, decodeData, type EventRecord } from '../contracts/index.ts'
import type { OnReaction } from '../service/index.ts'
import type { BatchTx } from './batch-tx.ts'
import { handle, handlingOf, TaskFailure } from './handle.ts'
import type { TaskContext } from './handler-context.ts'
import { expiresUnlessHeld, isHeldBy, memoryEnd, withLetter, withoutLetter, type Held } from './held-memory.ts'
import { whenThere, type Soon } from './soon.ts'
import { laneOfTask, type Task } from './work.ts'

/** An action behind a fence. */
export interface FencedAction {
  readonly event: EventRecord
  readonly result?: { readonly value?: unknown }
}

/** The body of a fence record. */
export interface Fence extends Held {
  /** `open`: nothing has happened, and it is there only because of the letters. */
  readonly state: 'open' | 'done' | 'cancelled' | 'undone' | 'unknown'
  readonly actions: readonly FencedAction[]
}

/** What a step found out: the task is done, or it needs a call first. */
export type StepResult = { readonly calls: readonly PendingCall[] } | undefined

/** A call that has to be made before the task can go on. `settle`: the action's own call, to learn what happened. */
export interface PendingCall {
  readonly kind: 'action' | 'settle' | 'undo'
  readonly action: FencedAction
}

export const fenceKind = 'fence'
const reactionOf = (task: Task): OnReaction => task.state.reaction as OnReaction
const fenceId = laneOfTask

/** The key of the fence that the task will ask for, to be loaded beforehand; null when it has none. */
export const fenceKeyOf = (task: Task): string | null => (reactionOf(task).undo ? fenceId(task) : null)

const loadFence = (batch: BatchTx, task: Task): Soon<Fence | undefined> => batch.kept<Fence>(fenceKind, fenceId(task))

function saveFence(batch: BatchTx, task: Task, fence: Fence): void {
  const { letters = [] } = fence
  batch.keep({
    scope: batch.context.plan.reader,
    kind: fenceKind,
    id: fenceId(task),
    partition: partitionOf(task.event.key),
    lane: null,
    seq: 0,
    due: null,
    expires: expiresUnlessHeld(fence, memoryEnd(batch)),
    content: letters.length > 0 ? fence : { state: fence.state, actions: fence.actions },
  })
}

/** Takes the task out of the work: it is none of the reaction's business. */
export async function leave(batch: BatchTx, task: Task): Promise<void> {
  const fence = fenceKeyOf(task) === null ? undefined : await loadFence(batch, task)
  if (fence && isHeldBy(fence, task)) saveFence(batch, task, withoutLetter(fence, task))
  await batch.done(task)
}

/** Handles the event, unless it has been undone before. */
export function runAction(batch: BatchTx, task: Task): Soon<StepResult> {
  return reactionOf(task).undo ? runFenced(batch, task) : act(batch, task)
}

function act(batch: BatchTx, task: Task): Soon<StepResult> {
  const reaction = reactionOf(task)
  if (reaction.call && task.result === undefined) return { calls: [{ kind: 'action', action: { event: task.event } }] }
  const data = task.data as never
  const result = task.result?.value
  const run = (context: TaskContext) => reaction.run(data, context as never)
  const ran = handle(batch, [task], { role: 'run', declared: reaction.emits, result, run })
  return whenThere(ran, () => whenThere(batch.done(task), () => undefined))
}

async function runFenced(batch: BatchTx, task: Task): Promise<StepResult> {
  const fence = await loadFence(batch, task)
  if (fence?.state === 'cancelled' || fence?.state === 'undone') {
    batch.after(() => batch.context.tell.tell('skipped', { ...handlingOf(task, 'run'), why: 'undone' }))
    batch.note(handlingOf(task, 'run'), 'prevented', 'undone before it could happen')
    if (isHeldBy(fence, task)) saveFence(batch, task, withoutLetter(fence, task))
    await batch.done(task)
    return undefined
  }
  const wanted = await act(batch, task)
  if (wanted) return wanted
  const others = fence?.actions.filter((action) => action.event.id !== task.event.id) ?? []
  const action = { event: task.event, ...(task.result && { result: task.result }) }
  const letters = fence?.letters
  saveFence(batch, task, withoutLetter({ state: 'done', actions: [...others, action], letters }, task))
  return undefined
}

/** Undoes what was done for the key, or makes sure that it never will be. */
export async function runUndo(batch: BatchTx, task: Task): Promise<StepResult> {
  const undo = reactionOf(task).undo!
  const fence = await loadFence(batch, task)
  const handling = handlingOf(task, 'undo')
  if (fence === undefined || fence.state === 'open') {
    saveFence(batch, task, withoutLetter({ ...fence, state: 'cancelled', actions: [] }, task))
    batch.after(() => batch.context.tell.tell('skipped', { ...handling, why: 'nothing-to-undo' }))
  } else if (fence.state === 'done' || fence.state === 'unknown') {
    const calls = missingCalls(task, fence)
    if (calls.length > 0) return { calls }
    // Newest first: what was done later may build on what was done earlier.
    for (const action of fence.actions.toReversed()) {
      const data = actionData(task, action) as never
      const done = settled(task, action)?.value
      const result = task.undone?.[action.event.id]?.value
      await handle(batch, [task], {
        role: 'undo',
        declared: undo.emits,
        result,
        done,
        run: (context) => undo.run(data, context as never),
      })
    }
    saveFence(batch, task, withoutLetter({ ...fence, state: 'undone', actions: [] }, task))
    batch.note(handling, 'undone', `${fence.actions.length} action${fence.actions.length === 1 ? '' : 's'} undone`)
  } else if (isHeldBy(fence, task)) saveFence(batch, task, withoutLetter(fence, task))
  await batch.done(task)
  return undefined
}

function missingCalls(task: Task, fence: Fence): readonly PendingCall[] {
  const reaction = reactionOf(task)
  return fence.actions.toReversed().flatMap((action): PendingCall[] => {
    if (reaction.call && settled(task, action) === undefined) return [{ kind: 'settle', action }]
    if (reaction.undo!.call && task.undone?.[action.event.id] === undefined)
      return [{ kind: 'undo', action: { ...action, result: settled(task, action) ?? {} } }]
    return []
  })
}

/** What the action's call returned: as kept with the fence, or as learned by asking again. */
const settled = (task: Task, action: FencedAction) => action.result ?? task.undone?.[settleName(action.event.id)]

/** Under which name the answer of a settling call is kept beside those of the undo calls. */
export const settleName = (eventId: string): string => `settle:${eventId}`

/** The data of the action's event, for the undo. @throws TaskFailure when it can no longer be decoded. */
export function actionData(task: Task, action: FencedAction): unknown {
  try {
    return decodeData(reactionOf(task).trigger.contract, action.event)
  } catch (error) {
    throw new TaskFailure([task], error)
  }
}

/**
 * Holds the fence of a task that has become a dead letter, and remembers that its call may have happened although it has.
 */
export async function holdFence(batch: BatchTx, task: Task): Promise<void> {
  if (!reactionOf(task).undo) return
  const fence = withLetter<Fence>((await loadFence(batch, task)) ?? { state: 'open', actions: [] }, task)
  const mayHaveCalled = task.role === 'trigger' && task.called && ['open', 'done', 'unknown'].includes(fence.state)
  if (!mayHaveCalled) return saveFence(batch, task, fence)
  const others = fence.actions.filter((action) => action.event.id !== task.event.id)
  const action = { event: task.event, ...(task.result && { result: task.result }) }
  saveFence(batch, task, { ...fence, state: 'unknown', actions: [...others, action] })
}
