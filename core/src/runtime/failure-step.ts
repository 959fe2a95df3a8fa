/**
 * What becomes of an event that could not be handled: it is tried again later, while later events of its key wait
 * behind it, or it becomes a dead letter.
 *
 *     failed --attempts left--> parked (due after backoff) --due--> tried again
 *            --none left, or NonRetryable--> dead letter; its key goes on (`onDead: 'hold'`: waits)
 *            --was a breaker's probe--> parked until the next probe, behind the others; counts as no attempt
 */
import { isNonRetryable, isQuadrilleError } from '../base/index.ts'
import { partitionOf } from '../contracts/index.ts'
import { backoffMs, undoRetry, type FullRetry } from '../service/index.ts'
import type { LedgerRecord } from '../ledger/index.ts'
import type { BatchTx } from './batch-tx.ts'
import { consumeTimer } from './deadline-step.ts'
import { handlingOf } from './handle.ts'
import { holdJoin } from './join-step.ts'
import { holdFence } from './on-step.ts'
import { deadKind } from './record-kinds.ts'
import { failedTry, withTry, type FailedTry, type Task, type WorkBody } from './work.ts'
import type { Handling } from './hooks.ts'

/** A failure with what was decided about it; decided once, although the batch may be run several times. */
export interface Failure {
  readonly error: unknown
  /** Set when a breaker took the blame: the event waits until then, and no attempt is counted. */
  readonly pausedUntil: number | null
  /** The share of the backoff to wait, in [0, 1). */
  readonly jitter: number
}

/** The body of a dead letter record. */
export interface DeadBody extends Omit<WorkBody, 'event' | 'role'> {
  readonly role: WorkBody['role'] | 'receive' | 'send'
  readonly event: WorkBody['event'] | null
  readonly service: string
  readonly reaction: string
  readonly code: string
  readonly message: string
  readonly at: number
  readonly holds: boolean
  /** For what could not be decoded: the bytes as base64. */
  readonly bytes?: string
  /** For what came over a wire: what it came with besides the bytes. */
  readonly from?: {
    readonly wire: string
    readonly attributes: Readonly<Record<string, string>> | null
    readonly channel?: string | undefined
  }
}

/** How a role appears in hooks and dead letters. */
export const shownRole = (task: Task): Handling['role'] =>
  task.role === 'undo' || task.role === 'late' || task.role === 'deadline' ? task.role : 'run'

/** Parks the task or makes it a dead letter, in the transaction of its batch. */
export async function failTask(batch: BatchTx, task: Task, failure: Failure): Promise<void> {
  const { tell } = batch.context
  const handling = handlingOf(task, shownRole(task))
  consumeTimer(batch, task)
  if (failure.pausedUntil !== null) {
    batch.park(task, failure.pausedUntil)
    return batch.after(() => tell.tell('failed', { ...handling, error: failure.error, retryAt: failure.pausedUntil }))
  }
  const tried = withTry(task, failure.error, batch.nowMs)
  const last = tried.tries[tried.tries.length - 1]!
  const retry = retryFor(task, failure.error, last)
  if (retry === null || tried.failed >= retry.attempts) return bury(batch, tried, failure.error)
  const due = batch.nowMs + backoffMs(retry, tried.failed, failure.jitter)
  batch.park(tried, due)
  batch.note({ ...handling, code: last.code }, 'retry', `try ${handling.attempt} failed: ${last.message}`)
  batch.after(() => {
    tell.tell('failed', { ...handling, error: failure.error, retryAt: due })
    if (tried.failed === 1) warnFirst(batch, task, { error: failure.error, waitMs: due - batch.nowMs })
  })
}

/** During an outage each reaction says so only now and then, milliseconds. */
const warnEveryMs = 1_000

/** Says that a handling has failed for the first time: nobody should have to wait for the dead letter. */
function warnFirst(
  batch: BatchTx,
  { state, event }: Task,
  { error, waitMs }: { readonly error: unknown; readonly waitMs: number },
): void {
  const { settings, tools } = batch.context
  const nowMs = settings.env.elapsed()
  if (nowMs - state.warnedAt < warnEveryMs) return
  state.warnedAt = nowMs
  const [service, reaction] = [state.service.name, state.reaction.name]
  tools.log.warn(
    { err: error, service, reaction, eventId: event.id },
    `${service}/${reaction}: ${event.type} failed and is tried again in ${Math.round(waitMs)} ms: ${failedTry(error, 0).message}`,
  )
}

/** True when trying again may help: otherwise it is the event that is wrong, not what the handler depends on. */
export const mayHelp = (task: Task, error: unknown): boolean => retryFor(task, error, failedTry(error, 0)) !== null

/** The retry policy for this error; null when trying again can not help. */
function retryFor(task: Task, error: unknown, last: FailedTry): FullRetry | null {
  const { policy } = task.state
  const special = policy.errors[last.code ?? ''] ?? policy.errors[last.name]
  if (special === 'dead' || isNonRetryable(error)) return null
  if (special === undefined && isQuadrilleError(error) && !error.retryable) return null
  const retry = special ?? policy.retry
  return task.role === 'undo' ? undoRetry(retry) : retry
}

async function bury(batch: BatchTx, task: Task, error: unknown): Promise<void> {
  const { settings, plan, tell } = batch.context
  const last = task.tries[task.tries.length - 1]!
  const handling = { ...handlingOf(task, shownRole(task)), attempt: task.failed }
  // Only what has a place in a lane can hold it.
  const holds = task.state.policy.onDead === 'hold'
  const letter = settings.env.uuid()
  const code = last.code ?? last.name
  const { state: _state, data: _data, record: _record, lane: _lane, ...body } = task
  batch.put(
    deadRecord(plan.reader, letter, {
      ...body,
      service: handling.service,
      reaction: handling.reaction,
      code,
      message: last.message,
      at: batch.nowMs,
      holds,
    }),
  )
  if (task.state.reaction.kind === 'on') await holdFence(batch, task)
  if (task.state.reaction.kind === 'all') await holdJoin(batch, task)
  if (holds) await batch.passTurn(batch.park({ ...task, letter }, null))
  else await batch.done(task)
  batch.note({ ...handling, code: last.code }, 'dead', `${code}: ${last.message}`)
  batch.after(() => {
    tell.tell('dead', { ...handling, error, retryAt: null, code })
    batch.context.tools.log.error(
      { err: error, service: handling.service, reaction: handling.reaction, eventId: task.event.id, letter, code },
      `${handling.service}/${handling.reaction}: ${task.event.type} became a dead letter: ${last.message}`,
    )
  })
}

/** A dead letter as record. */
export function deadRecord(scope: string, id: string, body: DeadBody): LedgerRecord {
  const partition = body.event ? partitionOf(body.event.key) : -1
  return {
    scope,
    kind: deadKind,
    id,
    partition,
    lane: null,
    seq: 0,
    due: null,
    expires: null,
    body: JSON.stringify(body),
  }
}

/** A message that could not even be read, as the body of a dead letter. */
export function receivedDead(bytes: Uint8Array, error: unknown, atMs: number): DeadBody {
  const failed = failedTry(error, atMs)
  return {
    role: 'receive',
    index: 0,
    event: null,
    failed: 1,
    tries: [failed],
    redrives: 0,
    service: '',
    reaction: '',
    code: failed.code ?? failed.name,
    message: failed.message,
    at: atMs,
    holds: false,
    bytes: Buffer.from(bytes).toString('base64'),
  }
}
