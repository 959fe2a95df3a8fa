/** Work: an event that a reaction has still to handle, as it is kept in the ledger while it waits. */
import type { EventRecord } from '../contracts/index.ts'
import type { LedgerRecord } from '../ledger/index.ts'
import { partitionOf } from '../contracts/index.ts'
import { preview } from '../contracts/schema-check.ts'
import type { Route, ReactionState } from './plan.ts'

/** What is to be done with the event. `late` and `deadline` come from timers, the others from the log. */
export type WorkRole = Route['role'] | 'late' | 'deadline'

/** One failed try, as kept in records. */
export interface FailedTry {
  readonly at: number
  readonly name: string
  readonly code: string | null
  readonly message: string
  readonly stack: string | null
}

/** The body of a work record. */
export interface WorkBody {
  readonly role: WorkRole
  readonly index: number
  readonly event: EventRecord
  /** How many tries have failed. */
  readonly failed: number
  /** The last of them. */
  readonly tries: readonly FailedTry[]
  readonly redrives: number
  /** True from the moment a `call` may have been made: its outcome must be settled before it is undone. */
  readonly called?: boolean
  /** What `call` has returned; kept so that a failing handler does not call again. Wrapped, as it may be undefined. */
  readonly result?: { readonly value?: unknown }
  /** Results of `undo.call`, by the id of the action's event. */
  readonly undone?: Readonly<Record<string, { readonly value?: unknown }>>
  /** The dead letter that this work stands for while it holds its lane. */
  readonly letter?: string
  /** Which process has begun to handle it, and how many together; only noted where a death is feared, see ./caution.ts. */
  readonly begun?: { readonly by: string; readonly of: number } | undefined
  /** True while it is not known whether it is for the reaction at all: to look has failed, or kills (see ./caution.ts). */
  readonly unseen?: true | undefined
}

/** Work in hand: a body with the route it takes and, when it comes from the ledger, its record. */
export interface Task extends WorkBody {
  readonly state: ReactionState
  /** The decoded data of the event; undefined for roles that do not need it. */
  readonly data: unknown
  /** The work record it came from; null when it comes straight from the log, a timer, or a collected batch. */
  readonly record: LedgerRecord | null
  /** The record of a collected batch or a coalesced event that it came from, to be removed when it is handled. */
  readonly collected?: LedgerRecord
  /** True when it was looked at late, and is none of the reaction's business. */
  readonly foreign?: true
  /** True when its calls have just ended: it has had its turn, and goes on. */
  readonly answered?: true
  /** See {@link laneOfTask}. */
  lane?: string
}

/** Events of one key in one reaction go one after the other: they share a lane. */
export const laneOf = (reaction: string, key: string): string => `${reaction}|${key}`

/** The lane of a task, made once: it is looked up several times for each. */
export const laneOfTask = (task: Task): string => (task.lane ??= laneOf(task.state.reaction.name, task.event.key))

/** What makes work this work, and no other. */
export type WorkPlace = Pick<WorkBody, 'event' | 'role' | 'index'>

/** The id of the work record of a task: the same however often it is tried. An event may be two parts of a join. */
export const workId = ({ event, role, index }: WorkPlace): string =>
  `${String(event.position).padStart(16, '0')}|${role}${index === 0 ? '' : `|${index}`}`

const bodyOf = ({ body }: Pick<LedgerRecord, 'body'>): WorkBody => JSON.parse(body) as WorkBody

/** True for work that only keeps the place of a dead letter: it is not due, and nobody but a redrive makes it so. */
export const isLetter = (work: Pick<LedgerRecord, 'body'>): boolean => bodyOf(work).letter !== undefined

/** True for work that waits until the work before it in its lane is done. */
export const waitsForTurn = (work: LedgerRecord): boolean => work.due === null && !isLetter(work)

/**
 * What goes before the first work of a lane although its event is later; undefined for nothing. No undo overtakes an action whose
 * call may have been made. What came of a timer has the place of the event that set it: whatever has begun meanwhile is earlier.
 */
export function overtakenBy(first: LedgerRecord): ((other: LedgerRecord) => boolean) | undefined {
  const { role } = bodyOf(first)
  if (role === 'undo') return isBegun
  return role === 'late' || role === 'deadline' ? ({ due, id }) => due !== null && id !== first.id : undefined
}

function isBegun(work: LedgerRecord): boolean {
  const { role, called, letter } = bodyOf(work)
  return role === 'trigger' && called === true && letter === undefined
}

/** The same for every try and redrive of this event in this reaction. */
export const idempotencyKey = (task: Pick<Task, 'state' | 'event'>): string =>
  `${task.state.service.name}/${task.state.reaction.name}:${task.event.id}`

export function workRecord(reader: string, task: Task, due: number | null): LedgerRecord {
  const { role, index, event, failed, tries, redrives, called, result, undone, letter, begun, unseen } = task
  const body: WorkBody = { role, index, event, failed, tries, redrives, called, result, undone, letter, begun, unseen }
  return {
    scope: reader,
    kind: task.state.kinds.work,
    id: workId(task),
    partition: partitionOf(event.key),
    lane: laneOfTask(task),
    seq: event.position,
    due,
    expires: null,
    body: JSON.stringify(body),
  }
}

/** How many tries are kept; the first are dropped. */
const triesMax = 20
const stackCharsMax = 2_000

/** Adds a failure to the history of a task. */
export function withTry(task: Task, error: unknown, at: number): Task {
  const tries = [...task.tries, failedTry(error, at)].slice(-triesMax)
  return { ...task, failed: task.failed + 1, tries, begun: undefined }
}

/** An error of any shape as data. */
export function failedTry(error: unknown, at: number): FailedTry {
  if (typeof error !== 'object' || error === null)
    return { at, name: typeof error, code: null, message: String(error), stack: null }
  const { name, code, message, stack } = error as Record<keyof FailedTry, unknown>
  // Numbers on an Error are seldom its code: every DOMException has one of long ago.
  const isCode = typeof code === 'string' || (typeof code === 'number' && !(error instanceof Error))
  return {
    at,
    name: typeof name === 'string' ? name : 'object',
    code: isCode ? String(code) : null,
    message: typeof message === 'string' ? message : preview(error),
    stack: typeof stack === 'string' ? stack.slice(0, stackCharsMax) : null,
  }
}
