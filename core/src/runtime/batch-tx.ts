/**
 * One batch transaction as the steps see it: what they read is loaded once, what they write is collected and saved
 * together at the end, and what must only happen after the commit is kept for then.
 */
import { partitionOf, type EventRecord, type NewEvent } from '../contracts/index.ts'
import type { LedgerRecord, LedgerTx, RecordKey } from '../ledger/index.ts'
import { appendedOf } from './appending.ts'
import { BatchRecords, type Draft } from './batch-records.ts'
import type { FlowNote } from './flow.ts'
import type { Handling } from './hooks.ts'
import type { ReactionState } from './plan.ts'
import type { ReaderContext } from './reader-context.ts'
import { noteKind } from './record-kinds.ts'
import type { Turn } from './side-by-side.ts'
import type { Soon } from './soon.ts'
import { laneOfTask, overtakenBy, waitsForTurn, workRecord, type Task } from './work.ts'

/** Where notes of all services are kept, so that a conversation is found with one query. */
export const noteScope = '~notes'

/** The transaction of a batch. Made anew for every try. */
export class BatchTx {
  readonly context: ReaderContext
  readonly tx: LedgerTx
  /** The time of this transaction, for all that is written in it. */
  readonly nowMs: number
  readonly #records: BatchRecords
  readonly #blocked = new Set<string>()
  readonly #probed = new Set<ReactionState>()
  /** Places under the rate limits of reactions that this transaction takes. */
  readonly #places = new Map<ReactionState, number>()
  /** By the turn of who has emitted them, when handlers run side by side. */
  readonly #emitted: (readonly NewEvent[])[] = []
  readonly #turns = new Map<Task, Turn>()
  #appended: (() => { readonly events: readonly EventRecord[]; readonly duplicates: number }) | undefined
  /** When the last handler has ended. */
  #endedAt = -Infinity
  readonly #after: (() => void)[] = []
  #db: { readonly opened: unknown } | undefined

  constructor(context: ReaderContext, tx: LedgerTx, nowMs: number) {
    this.context = context
    this.tx = tx
    this.nowMs = nowMs
    this.#records = new BatchRecords(tx, context.plan.reader)
  }

  /** The user's handle on the transaction, opened at its first use. */
  readonly openDb = (): unknown => {
    this.#db ??= { opened: this.context.plan.service.db?.open(this.tx.handle) }
    return this.#db.opened
  }

  /** The task is handled from now on, side by side with others. */
  begin(task: Task, turn: Turn): void {
    this.#turns.set(task, turn)
  }

  /** How the handler of these tasks opens its handle: all have the same, or, side by side, each its own. */
  opener(tasks: readonly Task[]): () => unknown {
    const task = tasks[tasks.length - 1]!
    const turn = this.#turns.get(task)
    if (!turn || task.state.inOrder) return this.openDb
    let db: { readonly opened: unknown } | undefined
    return () => {
      db ??= { opened: this.context.plan.service.db?.open(this.tx.side!((needsOwnTurn) => turn.sending(needsOwnTurn))) }
      return db.opened
    }
  }

  /** Notes a record that a step will ask for, so that {@link prefetch} loads it. */
  want(kind: string, id: string): void {
    this.#records.want(kind, id)
  }

  /** Loads what is wanted, in one go, and which of these lanes (by kind) have somebody waiting. */
  async prefetch(lanes: ReadonlyMap<string, ReadonlySet<string>>): Promise<void> {
    await this.#records.load()
    for (const [kind, names] of lanes) {
      for (const lane of await this.tx.lanes({ scope: this.context.plan.reader, kind, lanes: [...names] }))
        this.#blocked.add(lane)
    }
  }

  /** A record of this reader, as this transaction sees it. */
  record(kind: string, id: string): Soon<LedgerRecord | undefined> {
    return this.#records.get(kind, id)
  }

  /** The content of a record that is kept with {@link keep}. Not to be changed: keep another one. */
  kept<Content extends object>(kind: string, id: string): Soon<Content | undefined> {
    return this.#records.content(kind, id)
  }

  /** Keeps a record that may change again in this transaction: it is made text when it is written. */
  keep<Content extends object>(draft: Draft<Content>): void {
    this.#records.keep(draft)
    if (draft.due !== null) this.#noticeDue(draft.kind, draft.due)
  }

  put(record: LedgerRecord): void {
    this.#records.put(record)
    if (record.due !== null) this.#noticeDue(record.kind, record.due)
  }

  remove(key: RecordKey): void {
    this.#records.remove(key)
  }

  /** True when an earlier event of the lane is still waiting, so that later ones must wait behind it. */
  isBlocked(task: Task): boolean {
    return this.#blocked.size > 0 && this.#blocked.has(laneOfTask(task))
  }

  /** Keeps a task as work: due then, or (null) when its turn in the lane comes. */
  park(task: Task, due: number | null): LedgerRecord {
    const record = workRecord(this.context.plan.reader, task, due)
    this.put(record)
    this.#blocked.add(record.lane!)
    if (task.record === null) this.after(() => (task.state.waiting += 1))
    return record
  }

  /** Takes a task out of the work, if it was there, and lets the next of its lane go. */
  done(task: Task): Soon<void> {
    return task.record === null ? undefined : this.#leaveLane(task.record, task.state)
  }

  async #leaveLane(record: LedgerRecord, state: ReactionState): Promise<void> {
    this.remove(record)
    // Near the end of what is known it is counted again: a redrive may have added work.
    this.after(() => (state.waiting = state.waiting > 1 ? state.waiting - 1 : Infinity))
    const next = await this.nextInLane(record)
    if (!next) this.#blocked.delete(record.lane!)
    else this.#letGo(next)
  }

  /** The work of a lane whose turn it is: mostly the first. */
  async nextInLane(work: LedgerRecord): Promise<LedgerRecord | undefined> {
    const [first] = await this.#records.firstInLane(work, 1)
    const goesBefore = first && overtakenBy(first)
    if (!goesBefore) return first
    return (await this.#records.firstInLane(work, overtakenMax)).find(goesBefore) ?? first
  }

  /** Lets whoever's turn it is go, if it waits for that: not for a retry, or as a dead letter for a redrive. */
  #letGo(next: LedgerRecord): void {
    if (waitsForTurn(next)) this.put({ ...next, due: this.nowMs })
  }

  /** To be called when the work has become one that does not go on by itself: whose turn it is otherwise, goes. */
  async passTurn(work: LedgerRecord): Promise<void> {
    const next = await this.nextInLane(work)
    if (next) this.#letGo(next)
  }

  /**
   * True when it is the turn of work that was fetched from its lane. A redrive puts work back before what the lane has come to,
   * and several may be due; whoever comes too early waits, and lets the one go whose turn it is.
   */
  async hasTurn(task: Task): Promise<boolean> {
    const next = await this.nextInLane(task.record!)
    if (!next || next.id === task.record!.id) return true
    this.park({ ...task, begun: undefined }, null)
    this.#letGo(next)
    return false
  }

  /** Leaves a task as the work that it is, or makes it work; it is looked at again then. */
  postpone(task: Task, until: number): void {
    if (task.record === null || task.begun !== undefined) this.park({ ...task, begun: undefined }, until)
    else this.#noticeDue(task.record.kind, until)
  }

  /** While a breaker probes, one task goes through; true for the one. */
  takeProbe(state: ReactionState): boolean {
    if (state.calling > 0 || this.#probed.has(state)) return false
    this.#probed.add(state)
    const facts = { service: state.service.name, reaction: state.reaction.name, until: state.breaker!.until }
    this.after(() => this.context.tell.tell('breaker', { ...facts, state: 'probing' }))
    return true
  }

  /**
   * Takes a place under the rate limit, for when this transaction commits: what is rolled back has done nothing. Returns from when on
   * there is one.
   */
  takePlace(state: ReactionState): number {
    const { rate } = state
    if (!rate) return 0
    const others = this.#places.get(state) ?? 0
    const at = rate.freeBehind(others, this.nowMs)
    if (at > this.nowMs) return at
    this.#places.set(state, others + 1)
    this.after(() => rate.take(this.nowMs))
    return this.nowMs
  }

  /** How long a handler has held up the transaction: side by side, only while it was the next to end. */
  held(startedAt: number, endedAt: number): number {
    const from = this.holdsSince(startedAt)
    this.#endedAt = endedAt
    return endedAt - from
  }

  /** The same for one that still runs: since when it has been the next to end. */
  holdsSince(startedAt: number): number {
    return Math.max(startedAt, this.#endedAt)
  }

  /** Adds events to append at the end of the transaction, in the order of the tasks. */
  emit(events: readonly NewEvent[], tasks: readonly Task[]): void {
    if (events.length === 0) return
    const index = this.#turns.get(tasks[tasks.length - 1]!)?.index ?? this.#emitted.length
    const before = this.#emitted[index]
    this.#emitted[index] = before ? [...before, ...events] : events
  }

  /** Runs after the commit, and not at all if there is none. */
  after(action: () => void): void {
    this.#after.push(action)
  }

  /** Keeps something worth telling about a conversation; of a failure with its code. */
  note(handling: Handling & Pick<FlowNote, 'code'>, kind: FlowNote['kind'], text: string): void {
    const { settings } = this.context
    this.put(
      noteRecord({
        ...handling,
        kind,
        text,
        at: this.nowMs,
        id: settings.env.uuid(),
        expires: this.nowMs + settings.retention.memoryMs,
      }),
    )
  }

  /** Appends and saves everything that was collected. */
  async flush(): Promise<void> {
    await this.#records.save()
    const events = this.#emitted.flat()
    if (events.length === 0) return
    const positions = this.tx.appendLast(events)
    this.#appended = () => {
      const appended = appendedOf(events, positions())
      return { events: appended, duplicates: events.length - appended.length }
    }
  }

  /** To be called once, after the commit. Tells what was appended, and how much of it was known already. */
  committed(): void {
    for (const action of this.#after) action()
    const { tell, plan } = this.context
    if (!this.#appended || !tell.wants('appended')) return
    tell.tell('appended', { ...this.#appended(), origin: plan.service.name })
  }

  #noticeDue(kind: string, due: number): void {
    const state = this.context.plan.states.find(
      (candidate) => kind.endsWith(candidate.reaction.name) && hasKind(candidate, kind),
    )
    if (state) this.after(() => state.nextDue.set(kind, Math.min(due, state.nextDue.get(kind) ?? Infinity)))
  }
}

/** How many of a lane are looked through for what goes before the first. */
const overtakenMax = 100

const hasKind = ({ kinds }: ReactionState, kind: string): boolean =>
  kinds.work === kind || kinds.timer === kind || kinds.batch === kind || kinds.coalesce === kind

export function noteRecord(
  note: Pick<Handling, 'service' | 'reaction' | 'event'> &
    Pick<FlowNote, 'kind' | 'text' | 'code'> & {
      readonly at: number
      readonly id: string
      readonly expires: number
    },
): LedgerRecord {
  const { service, reaction, event, kind, text, code, at, id, expires } = note
  const body = JSON.stringify({ at, kind, service, reaction, eventId: event.id, text, code })
  return {
    scope: noteScope,
    kind: noteKind,
    id,
    partition: partitionOf(event.key),
    lane: event.correlationId,
    seq: at,
    due: null,
    expires,
    body,
  }
}
