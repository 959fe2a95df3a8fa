/**
 * Joins: the parts are kept in one record by reaction and key until all have come.
 *
 *     (none) --a part--> open --last part--> fired
 *                          \--time over----> late        fired and late are final: the join happens once
 * With `batch`, a join has fired for those that come later in its transaction before its handler has run: that is when all who
 * are complete by then are handed over together, and they commit together, or not at all.
 *
 * An open join without a time whose last part does not come is forgotten as everything is (./memory-rounds.ts).
 */
import { partitionOf } from '../contracts/index.ts'
import type { JoinReaction } from '../service/index.ts'
import type { BatchTx } from './batch-tx.ts'
import { handle, handlingOf, TaskFailure } from './handle.ts'
import { decode, type Encoded } from './decoder.ts'
import type { TaskContext } from './handler-context.ts'
import { expiresUnlessHeld, isHeldBy, memoryEnd, withLetter, withoutLetter, type Held } from './held-memory.ts'
import type { Member } from './collect-step.ts'
import { whenThere, type Soon } from './soon.ts'
import type { TraceOrigin } from './tracing.ts'
import { laneOfTask, type Task } from './work.ts'

/** Of an event that has come, what is needed when the others have. */
type Part = Encoded & Partial<TraceOrigin>

interface Join extends Held {
  readonly state: 'open' | 'fired' | 'late'
  readonly parts: readonly (Part | null)[]
}

const joinText = ({ state, parts, letters = [] }: Join): string =>
  JSON.stringify({ state, parts: parts.map(keptOf), letters: letters.length > 0 ? letters : undefined })

/** The envelope is not kept, but for where it comes from. */
const keptOf = (part: Part | null): object | null =>
  part && {
    position: part.position,
    type: part.type,
    version: part.version,
    data: part.data,
    traceparent: part.traceparent ?? undefined,
    tracestate: part.tracestate ?? undefined,
  }

export const joinKind = 'join'
const reactionOf = (task: Task): JoinReaction => task.state.reaction as JoinReaction

/** The id of the record of a task's join. */
export const joinId = laneOfTask

const loadJoin = (batch: BatchTx, task: Task): Soon<Join> =>
  whenThere(
    batch.kept<Join>(joinKind, joinId(task)),
    (join) => join ?? { state: 'open', parts: reactionOf(task).triggers.map(() => null) },
  )

function saveJoin(batch: BatchTx, task: Task, join: Join): void {
  // An open join with a time has a timer, which ends it.
  const isForgotten = join.state !== 'open' || reactionOf(task).withinMs === undefined
  batch.keep({
    scope: batch.context.plan.reader,
    kind: joinKind,
    id: joinId(task),
    partition: partitionOf(task.event.key),
    lane: null,
    seq: 0,
    due: null,
    expires: expiresUnlessHeld(join, isForgotten ? memoryEnd(batch) : null),
    content: join,
    text: joinText,
  })
}

/**
 * Takes one part; runs the handler when it was the last one missing. With `batch` it gives back instead what is to be handed over
 * with others; the task is done after that.
 */
export function runPart(batch: BatchTx, task: Task): Soon<Member | void> {
  return whenThere(loadJoin(batch, task), (join) => {
    if (join.state !== 'open' || join.parts[task.index]) {
      batch.after(() => batch.context.tell.tell('skipped', { ...handlingOf(task, 'run'), why: 'joined' }))
      if (isHeldBy(join, task)) saveJoin(batch, task, withoutLetter(join, task))
      return batch.done(task)
    }
    const parts = join.parts.map((part, index) => (index === task.index ? task.event : part))
    const now = withoutLetter({ ...join, parts }, task)
    const taken = parts.includes(null) ? keepOpen(batch, task, { before: join, now }) : fire(batch, task, now)
    return whenThere(taken, (complete) => complete ?? batch.done(task))
  })
}

type Parts = Join['parts']

function keepOpen(batch: BatchTx, task: Task, { before, now }: { before: Join; now: Join }): void {
  const { withinMs } = reactionOf(task)
  const isFirst = before.parts.every((part) => part === null)
  saveJoin(batch, task, now)
  if (isFirst && withinMs !== undefined) armTimer(batch, task, batch.nowMs + withinMs)
}

function fire(batch: BatchTx, task: Task, { parts, letters }: Join): Soon<Member | void> {
  const reaction = reactionOf(task)
  const data = partsData(task, parts)
  const linked = originsOf(batch, parts)
  const fired = (): void => {
    saveJoin(batch, task, { state: 'fired', parts: [], letters })
    if (reaction.withinMs === undefined) return
    batch.remove({ scope: batch.context.plan.reader, kind: task.state.kinds.timer, id: joinId(task) })
  }
  if (reaction.batch) {
    fired()
    return { task, data, linked }
  }
  const run = (context: TaskContext) => reaction.run(data as never, context as never)
  return whenThere(handle(batch, [task], { role: 'run', declared: reaction.emits, run, linked }), fired)
}

const noOrigins: readonly TraceOrigin[] = []

/** Where the parts come from; none where nobody traces. */
function originsOf({ context }: BatchTx, parts: Parts): readonly TraceOrigin[] {
  if (!context.settings.tracing) return noOrigins
  return parts.flatMap((part) =>
    part?.traceparent ? [{ traceparent: part.traceparent, tracestate: part.tracestate ?? null }] : [],
  )
}

/** The time of a join is over: hands over what has come, unless it was completed meanwhile. */
export async function runLate(batch: BatchTx, task: Task): Promise<void> {
  const reaction = reactionOf(task)
  const join = await loadJoin(batch, task)
  if (task.record === null)
    batch.remove({ scope: batch.context.plan.reader, kind: task.state.kinds.timer, id: joinId(task) })
  if (join.state === 'open') {
    const data = partsData(task, join.parts) as never
    await handle(batch, [task], {
      role: 'late',
      declared: reaction.emits,
      linked: originsOf(batch, join.parts),
      run: (context) => reaction.late!(data, context as never),
    })
    saveJoin(batch, task, withoutLetter({ ...join, state: 'late', parts: [] }, task))
    const missing = reaction.triggers.filter((_, index) => !join.parts[index]).map((trigger) => trigger.type)
    batch.note(handlingOf(task, 'late'), 'late', `${missing.join(', ')} did not come in time`)
  }
  return batch.done(task)
}

/** Holds the join of a task that has become a dead letter. */
export async function holdJoin(batch: BatchTx, task: Task): Promise<void> {
  saveJoin(batch, task, withLetter(await loadJoin(batch, task), task))
}

/** The data of the parts; undefined for what is missing. @throws TaskFailure when one can not be decoded any more. */
function partsData(task: Task, parts: Parts): readonly unknown[] {
  return parts.map((part, index) => {
    if (part === null) return undefined
    const decoded = decode(reactionOf(task).triggers[index]!.contract, part)
    if (!decoded.ok) throw new TaskFailure([task], decoded.error)
    return decoded.data
  })
}

function armTimer(batch: BatchTx, task: Task, due: number): void {
  batch.put({
    scope: batch.context.plan.reader,
    kind: task.state.kinds.timer,
    id: joinId(task),
    partition: partitionOf(task.event.key),
    lane: null,
    seq: 0,
    due,
    expires: null,
    body: JSON.stringify({ event: task.event }),
  })
}
