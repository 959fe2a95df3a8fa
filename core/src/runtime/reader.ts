/**
 * A reader: goes through the log for one service (or one reaction that was added later), and does what is due.
 *
 * It takes turns (./turn-loop.ts). In the end it finishes the turn in hand, gives back all leases but those of calls under
 * way, and commits what these answer.
 *
 * One turn is one batch: calls that have ended, work that is due, and a page of the log. Batches of a reader never
 * overlap, so what a step reads of its lane can not change under it.
 */
import { partitionOf } from '../contracts/index.ts'
import type { ReadPage } from '../ledger/index.ts'
import { BatchRun, decideFailure } from './batch-run.ts'
import { BatchSize } from './batch-size.ts'
import { CallRunner, type CallEnd } from './call-runner.ts'
import { Caution } from './caution.ts'
import { DueTasks } from './due-tasks.ts'
import { LeaseKeeper } from './lease-keeper.ts'
import { Pace } from './pace.ts'
import { addFromRecord, addPage, newTaskList, type TaskList } from './page-tasks.ts'
import type { ReaderContext } from './reader-context.ts'
import { TurnLoop } from './turn-loop.ts'
import type { Task } from './work.ts'

/** How long a checkpoint in the ledger may be behind where nothing was to be done. */
const saveAfterMs = 1_000
/** Larger batches are not run in one transaction with those of other readers: they are better at work at the same time. */
const sharedMax = 16

/** Runs until stopped. */
export class Reader {
  readonly context: ReaderContext
  readonly leases: LeaseKeeper
  readonly #calls: CallRunner
  readonly #due: DueTasks
  readonly #size: BatchSize
  readonly caution: Caution
  #ended: CallEnd[] = []
  readonly #loop: TurnLoop
  /** Since when checkpoints in the ledger are behind, because nothing in their partitions was to be done; undefined when none is. */
  #unsavedSince: number | undefined
  /** The end of the log when a timer fell due while there was a backlog. */
  #timersAfter: number | null = null
  readonly #pace: Pace

  constructor(context: ReaderContext) {
    this.context = context
    this.#loop = this.#loopOf(context)
    this.#pace = new Pace(context.settings.env, context.settings.pollMs)
    this.leases = new LeaseKeeper(context, () => this.wake())
    this.#calls = new CallRunner(context, (end) => {
      this.#ended.push(end)
      this.wake()
    })
    this.#size = new BatchSize(context.settings.batchMax, context.ledger.sideBySide)
    this.caution = new Caution(context, this.leases)
    this.#due = new DueTasks(context, { leases: this.leases, calls: this.#calls, caution: this.caution })
  }

  /** Resolves when the first leases were asked for; goes on by itself from then on. */
  async start(): Promise<void> {
    await this.leases.start()
    this.#loop.start()
  }

  /** For whoever drives the reader by hand, turn by turn: takes the first leases, and starts nothing. */
  async prepare(): Promise<void> {
    await this.leases.start()
    await this.leases.settle(this.#calls.partitions)
    await this.caution.died(this.leases.takeAbandoned())
    await this.#due.refresh()
  }

  /**
   * One turn by hand, of `atMost` so many events. Returns false when there was nothing to do.
   *
   * @throws what a turn throws: the batch is void then.
   */
  step(atMost?: number): Promise<boolean> {
    return this.#turn(atMost)
  }

  /** True when calls have ended that the next turn will take up. */
  get hasAnswers(): boolean {
    return this.#ended.length > 0
  }

  /** When there is next something to do that no event and no answer brings; Infinity for never. */
  get nextAt(): number {
    return this.leases.size === 0 ? Infinity : this.#due.nextAt(this.context.settings.env.now())
  }

  /** There may be something to do. */
  wake(): void {
    this.#pace.stir()
    this.#loop.wake()
  }

  /** Something may have become due without our knowing, by another process or a redrive. */
  lookAgain(): void {
    this.#pace.hurry()
    this.wake()
  }

  /** True when there is nothing that this reader could do now. */
  get isIdle(): boolean {
    return this.#loop.isResting && this.#calls.size === 0 && this.#ended.length === 0
  }

  /** Finishes what is in hand; `abort` is called when that takes too long. Never throws. */
  async stop(): Promise<void> {
    this.#calls.close()
    const warn = (error: unknown) =>
      this.context.tools.log.warn(
        { err: error, reader: this.context.plan.reader },
        'the reader could not end in order; what it had in hand is done elsewhere',
      )
    await this.#loop.stop().catch(warn)
    await this.#finish().catch(warn)
    this.abort()
    await this.leases.stop().catch(warn)
  }

  /** Aborts the calls under way; their work stays in the ledger. */
  abort(): void {
    this.#calls.drop(() => true)
    this.wake()
  }

  /** Commits what the calls under way still answer. What nothing is under way for is given back at once. */
  async #finish(): Promise<void> {
    let isDone = false
    const step = async (): Promise<boolean> => {
      const list = newTaskList()
      this.#addEnded(list)
      if (list.tasks.length > 0) await this.#batch(list, undefined)
      if (this.#unsavedSince !== undefined) await this.#save()
      isDone = this.#calls.size === 0
      if (!isDone) await this.leases.leave(this.#calls.partitions)
      return isDone
    }
    while (!isDone) await this.#loop.stepOrRest(step, () => Infinity)
  }

  #loopOf({ settings: { env }, tools: { log }, plan: { reader }, tell }: ReaderContext): TurnLoop {
    return new TurnLoop({
      what: 'reader',
      reader,
      env,
      log,
      turn: () => this.#turn(),
      learn: async () => {
        // What was read in memory may have been lost with a connection; the ledger knows where everything stands.
        this.leases.doubt()
        await this.#due.refresh()
      },
      restMs: () => this.#restMs(),
      rests: () => tell.tell('idle', { reader }),
    })
  }

  /** One batch. Returns false when there was nothing to do. */
  async #turn(atMost?: number): Promise<boolean> {
    const { ledger, settings, plan } = this.context
    const moved = await this.leases.settle(this.#calls.partitions)
    if (moved.size > 0) {
      this.#calls.drop((partition) => moved.has(partition))
      this.#ended = this.#ended.filter(({ task }) => this.#calls.has(task.record!))
      await this.#due.refresh()
    }
    await this.caution.died(this.leases.takeAbandoned())
    if (this.leases.size === 0) {
      this.#unsavedSince = undefined
      this.#pace.looked()
      return false
    }
    const isLookDue = await this.#poll()
    const nowMs = settings.env.now()
    const list = newTaskList()
    this.#addEnded(list)
    const limit = Math.min(atMost ?? this.#size.next, this.caution.limit)
    await this.#due.addDue(list, { nowMs, limit })
    const after = this.leases.position
    // Timers may fire only behind the end of the log, so it is looked for when there are some.
    const atHand = !isLookDue && !this.#due.timersDue(nowMs)
    const ahead = this.#size.isQuick && !this.caution.marks
    // What is marked may kill: of that no more is looked at than is handled.
    const pageMost = atMost ?? (this.caution.marks ? limit : this.#size.page)
    const pageLimit = Math.min(pageMost, this.caution.pageLimit)
    const read = await ledger.read({ after, limit: pageLimit, types: plan.types, ahead, atHand })
    const marked = await this.caution.markPage(read)
    const { context, leases, caution } = this
    const { page, concerned } = await addPage(read, { context, leases, caution, limit }, list)
    this.#size.looked({ events: page.events.length, concerned, isFull: page.events.length === pageLimit })
    if (await this.#timersMayFire(nowMs, page, after)) await this.#due.addTimers(list, { nowMs, limit })
    const { suspects } = list
    if (list.tasks.length > 0 || suspects.length > 0 || marked) {
      if (list.tasks.length > 0 || marked) await this.#batch(list, page)
      if (suspects.length > 0) await this.#batch(await this.#marked(suspects), undefined)
      await this.caution.handled(this.caution.marks ? suspects.length : list.tasks.length)
      return true
    }
    if (page.end && this.#calls.size === 0) await this.caution.cameThrough()
    // What is not committed yet may still be rolled back, and its positions be given again.
    if (page.upTo > after && page.basis === undefined) {
      this.leases.advance(page.upTo)
      this.#unsavedSince ??= settings.env.elapsed()
    }
    return !page.end
  }

  /** What may kill, from here on with the code of the user: schemas first. */
  async #marked(suspects: readonly Task[]): Promise<TaskList> {
    const list = newTaskList()
    for (const task of await this.caution.mark(suspects)) addFromRecord(list, task)
    return list
  }

  /** Under a steady backlog the log never ends: timers then wait for where it ended when they fell due. */
  async #timersMayFire(nowMs: number, page: ReadPage, position: number): Promise<boolean> {
    const due = this.#due.timersDue(nowMs)
    if (due && !page.end) {
      this.#timersAfter ??= (await this.context.ledger.health()).head
      if (position < this.#timersAfter) return false
    }
    this.#timersAfter = null
    return due
  }

  #addEnded(list: TaskList): void {
    for (const end of this.#ended.splice(0)) {
      if (!this.leases.holds(partitionOf(end.task.event.key))) {
        this.#calls.release(end.task)
        continue
      }
      const task: Task = { ...end.task, answered: true }
      list.tasks.push(task)
      if (end.failed) list.failures.set(task, decideFailure(this.context, task, end.error))
    }
  }

  async #batch(list: TaskList, page: Pick<ReadPage, 'upTo' | 'basis'> | undefined): Promise<void> {
    const { settings, plan, tell } = this.context
    const startedAt = settings.env.elapsed()
    const concerned = partitionsOf(list, this.leases.size)
    // Where nothing was to be done a checkpoint may stay behind for a while. Marked pages end with the checkpoints of all.
    const isPartial = concerned.size > 0 && concerned.size < this.leases.size && !this.caution.marks
    const claim = {
      reader: plan.reader,
      owner: settings.instance,
      epochs: isPartial ? this.leases.epochsOf(concerned) : this.leases.epochs,
      position: page?.upTo ?? this.leases.position,
      basis: page?.basis,
    }
    const how = { parksAll: this.caution.marks, shares: this.#size.isQuick && isForAll(list) }
    try {
      const result = await new BatchRun(this.context, list.failures, how).run(list.tasks, claim)
      this.leases.advance(claim.position)
      if (!isPartial) this.#unsavedSince = undefined
      else if (page !== undefined) this.#unsavedSince ??= startedAt
      if (result.collided) this.#size.collided()
      else this.#size.took(list.tasks.length, result.heldMs)
      for (const task of list.tasks) this.#calls.release(task)
      for (const wanted of result.calls) {
        if (!this.#calls.offer(wanted)) wanted.task.state.nextDue.set(wanted.task.state.kinds.work, 0)
      }
    } catch (error) {
      // What of it was committed, and what is still to be done, is learned from the ledger.
      this.leases.doubt()
      for (const task of list.tasks) this.#calls.release(task)
      throw error
    }
    const durationMs = settings.env.elapsed() - startedAt
    tell.tell('batch', {
      service: plan.service.name,
      events: list.tasks.length,
      handled: list.tasks.length - list.failures.size,
      durationMs,
    })
  }

  #restMs(): number {
    const { env } = this.context.settings
    const nowMs = env.now()
    // Without a lease there is nothing to do, however due: new leases wake it.
    const nextAt = this.leases.size === 0 ? Infinity : this.#due.nextAt(nowMs)
    return Math.min(this.#pace.waitMs, nextAt - nowMs, this.#saveAt - env.elapsed())
  }

  /** The safety net, also under steady load: what no wake-up has told. Returns whether it was time for it. */
  async #poll(): Promise<boolean> {
    if (this.#saveAt <= this.context.settings.env.elapsed()) await this.#save()
    if (!this.#pace.isDue) return false
    this.#pace.looked()
    await this.#due.refresh()
    return true
  }

  /** When checkpoints that are behind are written down. */
  get #saveAt(): number {
    return this.#unsavedSince === undefined ? Infinity : this.#unsavedSince + saveAfterMs
  }

  /** Writes down all checkpoints. */
  #save(): Promise<void> {
    return this.#batch(newTaskList(), undefined)
  }
}

/** Small, and nothing of it has failed before. */
const isForAll = ({ tasks, failures }: TaskList): boolean =>
  tasks.length <= sharedMax && failures.size === 0 && tasks.every(({ record }) => record === null)

/** The partitions of what is to be done, looked for until there are so many of them. */
function partitionsOf({ tasks }: TaskList, most: number): ReadonlySet<number> {
  const found = new Set<number>()
  for (let i = 0; i < tasks.length && found.size < most; i++) found.add(partitionOf(tasks[i]!.event.key))
  return found
}
