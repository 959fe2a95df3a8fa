/**
 * Runs a batch: many tasks in one transaction. When the handler of one fails, the whole is rolled back and run again
 * with that failure known, so that its parking commits together with the effects of the others. A batch in which more
 * than two have failed is run task by task, so that many failures do not cost the square of their number.
 *
 *     try all --commit--> done
 *             --a handler fails--> decide about it --> try all again (it is parked this time)
 *             --collision--> wait, try again, by halves; counts as no attempt
 *             --commit refused because of a statement of theirs--> try one after the other, which tells whose it was
 *             --lease lost--> nothing of it is done here
 *
 * Where the ledger can, handlers of different keys run side by side at the first try (./side-by-side.ts). When that goes
 * wrong in any way, the batch is run again one task after the other, which then tells whose fault it was.
 */
import { isQuadrilleError, sleep } from '../base/index.ts'
import type { Claim } from '../ledger/index.ts'
import type { JoinBatchPolicy } from '../service/index.ts'
import { BatchTx } from './batch-tx.ts'
import {
  collect,
  collectsMs,
  coalesce,
  isCoalescing,
  postponeCoalesced,
  runTogether,
  type Member,
} from './collect-step.ts'
import { consumeTimer, runDeadline, runStart, runUnless, timerId } from './deadline-step.ts'
import { failTask, mayHelp, type Failure } from './failure-step.ts'
import { TaskFailure } from './handle.ts'
import { joinId, joinKind, runLate, runPart } from './join-step.ts'
import { fenceKeyOf, fenceKind, leave, runAction, runUndo, type PendingCall } from './on-step.ts'
import { asTransaction } from './nesting.ts'
import type { ReaderContext } from './reader-context.ts'
import { runSideBySide } from './side-by-side.ts'
import { whenThere, type Soon } from './soon.ts'
import { laneOfTask, type Task } from './work.ts'

/** A call to make after the commit. */
export interface WantedCall {
  readonly task: Task
  readonly calls: readonly PendingCall[]
}

/** What a batch has led to. */
export interface BatchResult {
  readonly calls: readonly WantedCall[]
  /** How long its transactions were held open by its own steps, the longest of them. */
  readonly heldMs: number
  /** It did not commit at once, because of a collision. */
  readonly collided: boolean
}

type Outcome = 'committed' | 'failed' | 'collided' | 'again' | 'spoilt'

/** How long to wait after a collision, at most. */
const collisionPauseMs = 20
/** A handler that collides more often in a row does so with its own transaction, over a connection of its own. */
const collisionsMax = 50
const failuresTogetherMax = 2

/** Runs tasks in as few transactions as possible. The claim is proved, and its checkpoint advanced, in the last of them. */
export class BatchRun {
  readonly #context: ReaderContext
  readonly #failures: Map<Task, Failure>
  /** What comes straight from the log or a timer is not handled yet, but kept as work. */
  readonly #parksAll: boolean
  /** The next try may share its transaction with those of other readers. */
  #shares: boolean
  /** Tasks whose handler has failed in a try that was rolled back. */
  readonly #tried = new Set<Task>()
  /** Tasks of `batch` reactions that are run alone, because their batch has failed. */
  readonly #alone = new Set<Task>()
  readonly #calls: WantedCall[] = []
  #heldMs = 0
  /** Of handlers, since anything was committed. */
  #collisions = 0
  #collided = false
  /** One after the other, because side by side has not worked. */
  #inOrder = false
  /** Why the last commit was refused. */
  #spoiltBy: unknown

  constructor(context: ReaderContext, failures: Map<Task, Failure>, how: { parksAll: boolean; shares: boolean }) {
    this.#context = context
    this.#failures = failures
    this.#parksAll = how.parksAll
    this.#shares = how.shares
  }

  /** @throws QuadrilleError `LEASE_LOST`, or what the ledger throws when it is out of order: nothing more was committed. */
  async run(tasks: readonly Task[], claim: Claim): Promise<BatchResult> {
    const first = await this.#attempt(tasks, claim)
    if (first !== 'committed') await this.#inParts(units(tasks), claim, first)
    return { calls: this.#calls, heldMs: this.#heldMs, collided: this.#collided }
  }

  /** After a first try of all at once that did not commit. */
  async #inParts(all: Unit[], claim: Claim, first: Outcome): Promise<void> {
    let parts: readonly Unit[][] = [all]
    let outcome = first
    let failed = 0
    for (;;) {
      const [part, ...rest] = parts as [Unit[], ...Unit[][]]
      if (outcome === 'committed') parts = rest
      else if (outcome === 'failed' && ++failed > failuresTogetherMax) parts = parts.flat().map((unit) => [unit])
      else if (outcome === 'collided' && part.length > 1) {
        const half = part.length >> 1
        parts = [part.slice(0, half), part.slice(half), ...rest]
      } else if (outcome === 'spoilt') parts = this.#apart(part, rest)
      if (parts.length === 0) return
      outcome = await this.#attempt(...this.#next(parts, claim))
    }
  }

  #next([part, ...rest]: readonly Unit[][], claim: Claim): [tasks: readonly Task[], claim: Claim] {
    const position = rest.length === 0 ? claim.position : part![part!.length - 1]!.position
    return [part!.flatMap((unit) => unit.tasks), { ...claim, position }]
  }

  /** Each unit on its own; the one that is already, and still spoils its transaction, is to blame. */
  #apart(part: readonly Unit[], rest: readonly Unit[][]): Unit[][] {
    if (part.length > 1) return [...part.map((unit) => [unit]), ...rest]
    const [{ tasks }] = part as [Unit]
    for (const task of tasks) this.#decide(new TaskFailure([task], this.#spoiltBy))
    return [[...part], ...rest]
  }

  async #attempt(tasks: readonly Task[], claim: Claim): Promise<Outcome> {
    const { transactions, settings, plan } = this.#context
    const transaction = this.#shares ? 'shared' : 'alone'
    this.#shares = false
    let batch: BatchTx | undefined
    let sideBySide = false
    try {
      const calls: WantedCall[] = []
      await transactions[transaction](claim, async (tx) => {
        const startedAt = settings.env.elapsed()
        calls.length = 0
        batch = new BatchTx(this.#context, tx, settings.env.now())
        sideBySide = tx.side !== undefined && !this.#inOrder && this.#failures.size === 0 && tasks.length > 1
        const steps = () => this.#steps(batch!, tasks, { calls, sideBySide })
        await asTransaction(`a handler of ${plan.service.name}`, steps)
        sideBySide = false
        await batch.flush()
        this.#heldMs = Math.max(this.#heldMs, settings.env.elapsed() - startedAt)
      })
      batch!.committed()
      this.#collisions = 0
      this.#calls.push(...calls)
      return 'committed'
    } catch (error) {
      if (this.#isCollision(error)) {
        this.#collided = true
        await sleep(settings.env, settings.env.random() * collisionPauseMs)
        return 'collided'
      }
      if (sideBySide) {
        this.#inOrder = true
        return 'again'
      }
      if (error instanceof TaskFailure) {
        this.#decide(error)
        return 'failed'
      }
      if (isQuadrilleError(error) || !batch?.tx.broken || tasks.length === 0) throw error
      this.#spoiltBy = error
      return 'spoilt'
    }
  }

  #isCollision(error: unknown): boolean {
    const { ledger } = this.#context
    if (error instanceof TaskFailure) return ledger.isConflict(error.error) && ++this.#collisions <= collisionsMax
    return isQuadrilleError(error, 'LEDGER_CONFLICT') || ledger.isConflict(error)
  }

  #decide(failure: TaskFailure): void {
    if (failure.tasks.length > 1) return failure.tasks.forEach((task) => this.#alone.add(task))
    const [task] = failure.tasks as [Task]
    this.#tried.add(task)
    this.#failures.set(task, decideFailure(this.#context, task, failure.error))
  }

  async #steps(
    batch: BatchTx,
    tasks: readonly Task[],
    { calls, sideBySide }: { readonly calls: WantedCall[]; readonly sideBySide: boolean },
  ): Promise<void> {
    await prefetch(batch, tasks)
    const out: StepOut = { calls, together: new Map() }
    if (sideBySide)
      await runSideBySide(tasks, {
        keyOf: ({ event }) => event.key,
        isAlone: ({ state }) => state.inOrder || batchOf(state.reaction) !== undefined,
        refused: ({ state }) => (state.inOrder = true),
        begin: (task, turn) => {
          batch.begin(task, turn)
          return this.#one(batch, task, out)
        },
      })
    else
      for (const task of tasks) {
        const step = this.#one(batch, task, out)
        if (step instanceof Promise) await step
      }
    for (const [, group] of out.together) await runTogether(batch, group)
  }

  #one(batch: BatchTx, task: Task, out: StepOut): Soon<void> {
    const failure = this.#failures.get(task)
    const isBlocked = task.record === null && !isCollecting(task) && batch.isBlocked(task)
    // What will be tried again waits for its turn behind the earlier ones of its lane; so does what has failed in a try that
    // was rolled back, because an earlier one has failed since, so that its own failure is void.
    if (isBlocked && (!failure || this.#tried.has(task) || mayHelp(task, failure.error)))
      return this.#blocked(batch, task)
    if (task.foreign) return leave(batch, task)
    if (failure) return this.#fail(batch, task, failure)
    if (task.record !== null && !task.answered)
      return batch.hasTurn(task).then((hasTurn) => (hasTurn ? this.#step(batch, task, out) : undefined))
    if (this.#parksAll && task.record === null && !isCollecting(task)) return this.#queue(batch, task, batch.nowMs)
    return this.#step(batch, task, out)
  }

  async #fail(batch: BatchTx, task: Task, failure: Failure): Promise<void> {
    if (task.collected) this.#taken(batch, task)
    // Its handler has run, although nothing is left of it.
    if (this.#tried.has(task)) batch.takePlace(task.state)
    await failTask(batch, task, failure)
  }

  /** Waits behind what is before it in its lane. What was collected may be from before that. */
  #blocked(batch: BatchTx, task: Task): void {
    if (!task.collected) return this.#queue(batch, task, null)
    if (isCoalescing(task)) postponeCoalesced(batch, task, batch.nowMs)
    else this.#queue(batch, task, batch.nowMs)
  }

  #queue(batch: BatchTx, task: Task, due: number | null): void {
    if (task.collected) this.#taken(batch, task)
    consumeTimer(batch, task)
    batch.park(task, due)
  }

  #taken(batch: BatchTx, task: Task): void {
    batch.remove(task.collected!)
    if (task.collected!.kind === task.state.kinds.batch) batch.after(() => (task.state.collected -= 1))
  }

  #step(batch: BatchTx, task: Task, out: StepOut): Soon<void> {
    const { reaction } = task.state
    if (task.role === 'part')
      return whenThere(runPart(batch, task), (member) => member && this.#group(batch, member, out.together))
    if (task.role === 'late') return runLate(batch, task)
    if (task.role === 'start') return runStart(batch, task)
    if (task.role === 'unless') return runUnless(batch, task)
    if (task.role === 'deadline') return runDeadline(batch, task)
    if (reaction.kind !== 'on') return
    if (isCollecting(task)) return reaction.coalesce ? coalesce(batch, task) : collect(batch, task)
    if (task.role === 'trigger' && task.result === undefined && this.#heldBack(batch, task)) return
    if (task.collected) this.#taken(batch, task)
    if (task.role === 'trigger' && reaction.batch) return this.#group(batch, { task, data: task.data }, out.together)
    return whenThere(task.role === 'undo' ? runUndo(batch, task) : runAction(batch, task), (wanted) => {
      if (wanted) out.calls.push({ task: this.#parkForCall(batch, task), calls: wanted.calls })
    })
  }

  #group(batch: BatchTx, member: Member, together: StepOut['together']): Soon<void> {
    const { state } = member.task
    if (this.#alone.has(member.task)) return runTogether(batch, [member])
    const group = together.get(state) ?? []
    if (group.push(member) < batchOf(state.reaction)!.size) return void together.set(state, group)
    together.delete(state)
    return runTogether(batch, group)
  }

  /** Breaker and rate limit: true when the task has to wait. */
  #heldBack(batch: BatchTx, task: Task): boolean {
    const { breaker } = task.state
    const state = breaker?.state(batch.nowMs) ?? 'closed'
    const isOpen = state === 'open' || (state === 'probing' && !batch.takeProbe(task.state))
    const at = isOpen ? Math.max(breaker!.until, batch.nowMs) : batch.takePlace(task.state)
    if (!isOpen && at <= batch.nowMs) return false
    if (task.collected && isCoalescing(task)) postponeCoalesced(batch, task, at)
    else {
      if (task.collected) this.#taken(batch, task)
      batch.postpone(task, at)
    }
    return true
  }

  /** The intent is committed before the call is made, so that a crash leaves a trace of what may have happened. */
  #parkForCall(batch: BatchTx, task: Task): Task {
    if (task.called && task.record?.due !== null && task.record) return task
    const intended = { ...task, called: true }
    return { ...intended, record: batch.park(intended, batch.nowMs) }
  }
}

/** What the steps of a try leave behind: calls to make, and events that their reaction takes together. */
interface StepOut {
  readonly calls: WantedCall[]
  readonly together: Map<Task['state'], Member[]>
}

const batchOf = (reaction: Task['state']['reaction']): JoinBatchPolicy | undefined =>
  reaction.kind === 'deadline' ? undefined : reaction.batch

/** Tasks that must commit together, and how far the checkpoint may go when they have. */
interface Unit {
  readonly tasks: Task[]
  readonly position: number | undefined
}

/**
 * Cuts tasks where a commit may come between them. What comes from a record is guarded by that record; but all that
 * comes straight from one event of the log must commit together with the checkpoint's step over that event.
 */
function units(tasks: readonly Task[]): Unit[] {
  const list: Unit[] = []
  for (const task of tasks) {
    const position = fromLog(task) ? task.event.position : undefined
    const last = list[list.length - 1]
    if (last && position !== undefined && last.position === position) last.tasks.push(task)
    else list.push({ tasks: [task], position })
  }
  return list.length > 0 ? list : [{ tasks: [], position: undefined }]
}

/** True for an event of the log that its reaction does not handle at once. */
function isCollecting({ role, state, record, collected }: Task): boolean {
  const { reaction } = state
  if (role !== 'trigger' || record !== null || collected || reaction.kind !== 'on') return false
  return reaction.coalesce !== undefined || (reaction.batch !== undefined && collectsMs(reaction) > 0)
}

const fromLog = (task: Task): boolean =>
  task.record === null && !task.collected && task.role !== 'late' && task.role !== 'deadline'

/** Decides once about a failure: what the breaker says, and how long to wait. */
export function decideFailure(context: ReaderContext, task: Task, error: unknown): Failure {
  const { env } = context.settings
  const { breaker } = task.state
  const jitter = env.random()
  if (!breaker || task.role !== 'trigger') return { error, pausedUntil: null, jitter }
  if (!mayHelp(task, error)) return { error, pausedUntil: null, jitter }
  const probing = breaker.state(env.now()) === 'probing'
  const opened = breaker.failed(env.now())
  if (opened) {
    const facts = { service: task.state.service.name, reaction: task.state.reaction.name }
    context.tell.tell('breaker', { ...facts, state: 'open', until: breaker.until })
  }
  // Behind the others, so that the next probe is another event: this one may be what is wrong.
  return { error, pausedUntil: probing ? breaker.until + 1 : null, jitter }
}

async function prefetch(batch: BatchTx, tasks: readonly Task[]): Promise<void> {
  const lanes = new Map<string, Set<string>>()
  for (const task of tasks) {
    const { state } = task
    const { kind } = state.reaction
    if (kind === 'all') batch.want(joinKind, joinId(task))
    else if (kind === 'on') {
      const id = fenceKeyOf(task)
      if (id !== null) batch.want(fenceKind, id)
    } else batch.want(state.kinds.timer, timerId(task))
    if (task.record === null && state.waiting > 0) {
      const names = lanes.get(state.kinds.work) ?? new Set()
      lanes.set(state.kinds.work, names.add(laneOfTask(task)))
    }
  }
  await batch.prefetch(lanes)
}
