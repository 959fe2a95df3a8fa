/** From records whose time has come to tasks: parked work, timers, collected batches and coalesced events. */
import type { EventRecord } from '../contracts/index.ts'
import { partitionCount } from '../contracts/index.ts'
import type { LedgerRecord } from '../ledger/index.ts'
import type { OnReaction } from '../service/index.ts'
import type { CallRunner } from './call-runner.ts'
import type { Caution } from './caution.ts'
import type { LeaseKeeper } from './lease-keeper.ts'
import { addDied, addFromRecord, type TaskList } from './page-tasks.ts'
import type { ReactionState } from './plan.ts'
import type { ReaderContext } from './reader-context.ts'
import type { Task, WorkBody, WorkRole } from './work.ts'

/** What counts as due, and how many of each kind are taken at once. */
interface When {
  readonly nowMs: number
  readonly limit: number
}

/** Fetches what is due in the partitions held. */
export class DueTasks {
  readonly #context: ReaderContext
  readonly #leases: LeaseKeeper
  readonly #calls: CallRunner
  readonly #caution: Caution

  constructor(context: ReaderContext, parts: { leases: LeaseKeeper; calls: CallRunner; caution: Caution }) {
    this.#context = context
    this.#leases = parts.leases
    this.#calls = parts.calls
    this.#caution = parts.caution
  }

  /** Forgets what is known of due times and asks the ledger again: after partitions have changed hands, and now and then. */
  async refresh(): Promise<void> {
    const { plan, ledger } = this.#context
    const each = plan.states.flatMap((state) => kindsOf(state).map((kind) => ({ state, kind })))
    const found = await ledger.pending({
      scope: plan.reader,
      kinds: each.map(({ kind }) => kind),
      counted: each.map(({ kind, state: { kinds } }) => kind === kinds.work || kind === kinds.batch),
      partitions: this.#leases.partitions,
    })
    for (const [index, { state, kind }] of each.entries()) {
      const { due, count } = found[index]!
      state.nextDue.set(kind, due ?? Infinity)
      if (kind === state.kinds.work) state.waiting = count
      if (kind === state.kinds.batch) state.collected = count
    }
  }

  /** When the next record wants attention that can be given; Infinity for none. */
  nextAt(nowMs: number): number {
    let at = Infinity
    for (const state of this.#context.plan.states) {
      for (const kind of kindsOf(state)) {
        const due = state.nextDue.get(kind) ?? Infinity
        if (due < at) at = Math.min(at, kind === state.kinds.work ? this.#workAt(state, due, nowMs) : due)
      }
    }
    return at
  }

  /** Adds work, batches and coalesced events that are due. */
  async addDue(list: TaskList, when: When): Promise<void> {
    const { nowMs } = when
    for (const state of this.#context.plan.states) {
      const { kinds } = state
      if (state.waiting === Infinity) state.waiting = await this.#count(kinds.work)
      const isDue = (kind: string) => (state.nextDue.get(kind) ?? Infinity) <= nowMs
      if (isDue(kinds.work) && this.#workAt(state, 0, nowMs) <= nowMs) await this.#addWork(state, list, when)
      if (isDue(kinds.batch)) await this.#addBatch(state, list, nowMs)
      if (isDue(kinds.coalesce)) {
        for (const record of await this.#dueRecords(state, kinds.coalesce, when))
          this.#addEvent({ state, role: 'trigger' }, record, list)
      }
    }
  }

  /** True when a timer is due. */
  timersDue(nowMs: number): boolean {
    return this.#context.plan.states.some((state) => (state.nextDue.get(state.kinds.timer) ?? Infinity) <= nowMs)
  }

  /** Adds timers that are due. Only called when the log has been read to its end. */
  async addTimers(list: TaskList, when: When): Promise<void> {
    for (const state of this.#context.plan.states) {
      if ((state.nextDue.get(state.kinds.timer) ?? Infinity) > when.nowMs) continue
      const role = state.reaction.kind === 'all' ? 'late' : 'deadline'
      for (const record of await this.#dueRecords(state, state.kinds.timer, when))
        this.#addEvent({ state, role }, record, list)
    }
  }

  /** Work waits for a closed breaker, a place under the rate limit and free calls, however due it is. */
  #workAt(state: ReactionState, wantedAt: number, nowMs: number): number {
    const { breaker, rate, reaction } = state
    if (reaction.kind === 'on' && reaction.call && this.#calls.room(state) === 0) return Infinity
    const due = Math.max(wantedAt, rate?.freeAt ?? 0)
    if (!breaker || breaker.state(nowMs) === 'closed') return due
    return breaker.state(nowMs) === 'probing' && state.calling > 0 ? Infinity : Math.max(due, breaker.until)
  }

  async #addWork(state: ReactionState, list: TaskList, when: When): Promise<void> {
    const { reaction } = state
    const room = reaction.kind === 'on' && reaction.call ? this.#calls.room(state) : Infinity
    const limit = Math.min(when.limit, room)
    for (const record of await this.#dueRecords(state, state.kinds.work, { ...when, limit })) {
      if (this.#calls.has(record)) continue
      const body = JSON.parse(record.body) as WorkBody
      const bare = { ...body, state, record, data: undefined }
      if (this.#caution.isDeadly(body)) addDied(list, bare, { context: this.#context, process: body.begun!.by })
      else if (this.#caution.together(body) === Infinity) addFromRecord(list, bare)
      else this.#addSuspect(list, bare)
    }
  }

  #addSuspect(list: TaskList, bare: Task): void {
    const most = Math.min(list.suspectsMax, this.#caution.together(bare))
    if (list.suspects.length >= most) return void bare.state.nextDue.set(bare.state.kinds.work, 0)
    list.suspects.push(bare)
    list.suspectsMax = most
  }

  async #addBatch(state: ReactionState, list: TaskList, nowMs: number): Promise<void> {
    const { size } = (state.reaction as OnReaction).batch!
    const records = await this.#query(state.kinds.batch, size + 1)
    const first = records[0]?.due ?? Infinity
    if (first > nowMs && records.length < size) {
      state.nextDue.set(state.kinds.batch, first)
      return
    }
    for (const record of records.slice(0, size)) this.#addEvent({ state, role: 'trigger' }, record, list)
    state.nextDue.set(state.kinds.batch, state.collected - size >= size ? 0 : (records[size]?.due ?? Infinity))
  }

  async #dueRecords(state: ReactionState, kind: string, when: When): Promise<readonly LedgerRecord[]> {
    const { nowMs } = when
    const limit = when.limit + this.#calls.size
    const records = await this.#query(kind, limit)
    const later = records.find((record) => record.due! > nowMs)
    state.nextDue.set(kind, later ? later.due! : records.length < limit ? Infinity : 0)
    return later ? records.filter((record) => record.due! <= nowMs) : records
  }

  #count(kind: string): Promise<number> {
    const { plan, ledger } = this.#context
    return ledger.count({ scope: plan.reader, kind, partitions: this.#leases.partitions })
  }

  #query(kind: string, limit: number): Promise<readonly LedgerRecord[]> {
    const { plan, ledger } = this.#context
    const all = this.#leases.size === partitionCount
    return ledger.query({
      scope: plan.reader,
      kind,
      order: 'due',
      limit,
      ...(all ? {} : { partitions: this.#leases.partitions }),
    })
  }

  #addEvent(
    as: { readonly state: ReactionState; readonly role: WorkRole },
    record: LedgerRecord,
    list: TaskList,
  ): void {
    const { event } = JSON.parse(record.body) as { event: EventRecord }
    const collected = as.role === 'trigger' ? { collected: record } : {}
    const bare: Task = {
      ...as,
      ...collected,
      index: 0,
      event,
      data: undefined,
      failed: 0,
      tries: [],
      redrives: 0,
      record: null,
    }
    // Where nothing may begin without a mark it is kept as work first.
    if (this.#caution.marks) list.tasks.push(bare)
    else addFromRecord(list, bare)
  }
}

/** The record kinds that can fall due for a reaction. */
function kindsOf({ kinds, reaction }: ReactionState): readonly string[] {
  if (reaction.kind !== 'on') return [kinds.work, kinds.timer]
  if (reaction.batch) return [kinds.work, kinds.batch]
  return reaction.coalesce ? [kinds.work, kinds.coalesce] : [kinds.work]
}
