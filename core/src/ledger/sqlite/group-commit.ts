/**
 * The one writer of a process: runs works one after the other and commits several of them at once, because the commit
 * (a write to disk that is waited for) costs as much as dozens of works.
 *
 * A group: BEGIN IMMEDIATE, first work, SAVEPOINT, second work, RELEASE, SAVEPOINT, ..., COMMIT. A work that fails is
 * undone to its savepoint and does not disturb the others; the first one has none, so when it fails the transaction
 * rolls back and the group ends with it. Nobody learns of a success before COMMIT.
 */
import type { StatementSync } from 'node:sqlite'
import { doubledMs, messageOf, QuadrilleError, sleep, type Env } from '../../base/index.ts'
import { isBusy, isConstraint } from './sqlite-errors.ts'
import type { Connection } from './sqlite-connection.ts'

/** Works in one group. */
const groupWorksMax = 256
/**
 * A group takes no further work after this time, so that the first one does not wait for long. Only under load does it
 * last so long: a group also ends when no work is waiting.
 */
const groupMs = 20
/** So many places of works that have been taken are kept in the queue before it is moved up. */
const queueKept = 1_024
/** The shortest and the longest pause before the lock is asked for again. */
const retryMs = { min: 1, max: 25 }
/** After writing for this long without a pause, other processes are given the chance to get the lock. */
const courtesyAfterMs = 50
/** The same while other processes are known to write. */
const courtesyAmongOthersMs = 10
/** How long the lock is left alone then. */
const courtesyMs = 1

/** What the queue asks of the ledger. */
export interface GroupHooks {
  /** A transaction has begun: what other processes have committed is known from here on, and stays so. */
  begun(): void
  /** Works of this group before this one stay; from here on, what is remembered belongs to the next. */
  mark(): void
  /** The current work has ended well: it stays unless the whole group fails. */
  finished(): void
  /**
   * Tells the readers of this process what the group has appended so far, so that their works can join it; false when
   * there is nothing new to tell.
   */
  offer(): boolean
  /** What is remembered since the last mark is undone. */
  undone(): void
  /** The transaction is durable. */
  committed(): void
  /** The transaction is gone, with everything in it. */
  rolledBack(): void
  /** Between two groups: no transaction is open, and whoever waited for the last one has been told. */
  between(): void
  /** Whether another process has written lately. */
  amongOthers(): boolean
}

interface Job {
  readonly work: () => Promise<unknown>
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  /** When it came, by the monotonic clock. */
  readonly since: number
  value: unknown
}

interface ControlStatements {
  readonly begin: StatementSync
  readonly commit: StatementSync
  readonly rollback: StatementSync
  readonly savepoint: StatementSync
  readonly release: StatementSync
  readonly rollbackTo: StatementSync
}

/** What {@link GroupCommit} works with. */
export interface GroupCommitOptions {
  readonly connection: Connection
  readonly env: Env
  readonly ledger: string
  /** For how long a work waits for other processes before it fails with `LEDGER_BUSY`, milliseconds. */
  readonly busyWaitMs: number
  readonly hooks: GroupHooks
}

/** The queue of works of one connection. */
export class GroupCommit {
  readonly #options: GroupCommitOptions
  readonly #control: ControlStatements
  #queue: (Job | undefined)[] = []
  /** The first job of the queue that has not been taken. Those before it are gone: each holds on to all that its work knows. */
  #head = 0
  #running = false
  #idle: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined
  #inTransaction = false
  #ended: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined
  /** Since when it has been writing without a pause. */
  #busySince = 0
  /** So many works are run alone, because one of their group broke the commit for all. */
  #alone = 0

  constructor(options: GroupCommitOptions) {
    this.#options = options
    const { db } = options.connection
    this.#control = {
      begin: db.prepare('BEGIN IMMEDIATE'),
      commit: db.prepare('COMMIT'),
      rollback: db.prepare('ROLLBACK'),
      savepoint: db.prepare('SAVEPOINT quadrille_work'),
      release: db.prepare('RELEASE quadrille_work'),
      rollbackTo: db.prepare('ROLLBACK TO quadrille_work'),
    }
  }

  /** Resolves after the commit that contains `work`. */
  run<T>(work: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const since = this.#options.env.elapsed()
      this.#queue.push({ work, resolve: resolve as (value: unknown) => void, reject, since, value: undefined })
      if (this.#running) return
      this.#running = true
      // Not at once, so that calls made in the same turn share a commit.
      queueMicrotask(() => void this.#drain())
    })
  }

  /** Resolves when no work is left. */
  async idle(): Promise<void> {
    while (this.#running) {
      this.#idle ??= Promise.withResolvers<void>()
      await this.#idle.promise
    }
  }

  /** True while a transaction is open. */
  get inTransaction(): boolean {
    return this.#inTransaction
  }

  /** Resolves when the open transaction has ended; another may have begun. */
  ended(): Promise<void> {
    this.#ended ??= Promise.withResolvers<void>()
    return this.#ended.promise
  }

  async #drain(): Promise<void> {
    const { env } = this.#options
    this.#busySince = env.elapsed()
    while (this.#head < this.#queue.length) {
      if (await this.#begin()) await this.#group()
      this.#options.hooks.between()
      await this.#pause()
    }
    this.#running = false
    this.#idle?.resolve()
    this.#idle = undefined
  }

  /** SQLite's lock is not fair: without a pause now and then a busy process would starve the others. */
  async #pause(): Promise<void> {
    const { env, hooks } = this.#options
    const limitMs = hooks.amongOthers() ? courtesyAmongOthersMs : courtesyAfterMs
    if (env.elapsed() - this.#busySince < limitMs) return env.breathe()
    await sleep(env, courtesyMs)
    this.#busySince = env.elapsed()
  }

  /** Begins a transaction; false when the lock was not to be had and the works that waited too long were rejected. */
  async #begin(): Promise<boolean> {
    const { env, ledger, busyWaitMs, hooks } = this.#options
    for (let tries = 0; ; tries++) {
      try {
        this.#control.begin.run()
        this.#inTransaction = true
        hooks.begun()
        return true
      } catch (error) {
        if (this.#inTransaction) this.#rollback()
        if (!isBusy(error)) {
          this.#rejectWaiting(() => this.#conflict(messageOf(error), error), Infinity)
          return false
        }
        const rejected = this.#rejectWaiting(
          (waitedMs) => new QuadrilleError('LEDGER_BUSY', { ledger, waitedMs }, error),
          busyWaitMs,
        )
        if (rejected) return false
      }
      await sleep(env, retryMs.min + env.random() * doubledMs(retryMs, tries))
    }
  }

  /** Rejects what has waited for `limitMs`, or all when that is infinite. */
  #rejectWaiting(errorAfter: (waitedMs: number) => unknown, limitMs: number): boolean {
    const now = this.#options.env.elapsed()
    let rejected = false
    while (this.#head < this.#queue.length) {
      if (limitMs !== Infinity && now - this.#queue[this.#head]!.since < limitMs) break
      const job = this.#take()
      job.reject(errorAfter(Math.round(now - job.since)))
      rejected = true
    }
    return rejected
  }

  /** The first job that waits. */
  #take(): Job {
    const job = this.#queue[this.#head]!
    this.#queue[this.#head] = undefined
    this.#head += 1
    // Under steady load there is always one that waits. Moved only when half of it is gone, so that it costs little.
    if (this.#head === this.#queue.length || (this.#head >= queueKept && this.#head * 2 >= this.#queue.length)) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
    return job
  }

  async #group(): Promise<void> {
    const { env } = this.#options
    const until = env.elapsed() + groupMs
    const done: Job[] = []
    const failed: { readonly job: Job; readonly error: unknown }[] = []
    for (let taken = 0; taken < groupWorksMax; taken++) {
      if (taken > 0 && (this.#alone > 0 || env.elapsed() >= until)) break
      if (this.#head === this.#queue.length && !(await this.#joined())) break
      const job = this.#take()
      const error = await this.#work(job, taken > 0)
      if (error === undefined) done.push(job)
      else failed.push({ job, error: error.thrown })
      if (!this.#options.connection.db.isTransaction || (error && taken === 0)) break
    }
    if (this.#alone > 0) this.#alone -= 1
    this.#end(done)
    for (const { job, error } of failed) job.reject(error)
  }

  /**
   * Whether works have come that want to join. What one event leads to in this process is so made durable by one wait
   * for the disk, and not by one for each step.
   */
  async #joined(): Promise<boolean> {
    if (this.#options.hooks.offer()) await this.#options.env.breathe()
    return this.#head < this.#queue.length
  }

  /** Runs one work; its error, wrapped because anything can be thrown, or undefined. */
  async #work(job: Job, withSavepoint: boolean): Promise<{ readonly thrown: unknown } | undefined> {
    const { hooks, connection } = this.#options
    let inSavepoint = false
    hooks.mark()
    try {
      if (withSavepoint) {
        this.#control.savepoint.run()
        inSavepoint = true
      }
      job.value = await job.work()
      if (!connection.db.isTransaction) throw this.#conflict('SQLite has rolled the transaction back')
      if (withSavepoint) this.#control.release.run()
      hooks.finished()
      return undefined
    } catch (thrown) {
      hooks.undone()
      try {
        if (inSavepoint && connection.db.isTransaction) {
          this.#control.rollbackTo.run()
          this.#control.release.run()
        } else if (connection.db.isTransaction && withSavepoint === false) {
          this.#control.rollback.run()
        }
      } catch {
        if (connection.db.isTransaction) this.#control.rollback.run()
      }
      return { thrown }
    }
  }

  /** Commits, and tells everyone. */
  #end(done: readonly Job[]): void {
    const { connection } = this.#options
    let failure: unknown
    try {
      if (connection.db.isTransaction) this.#control.commit.run()
      else failure = this.#conflict('it was rolled back with another one')
    } catch (error) {
      // A constraint that is checked at COMMIT is the fault of one work. Alone, it meets its own error and no one else's.
      if (isConstraint(error) && done.length > 1) this.#alone = done.length
      failure = isConstraint(error) && done.length === 1 ? error : this.#conflict(messageOf(error), error)
    }
    if (failure === undefined) {
      this.#inTransaction = false
      this.#options.hooks.committed()
      for (const job of done) job.resolve(job.value)
    } else {
      this.#rollback()
      for (const job of done) job.reject(failure)
    }
    this.#ended?.resolve()
    this.#ended = undefined
  }

  #rollback(): void {
    try {
      if (this.#options.connection.db.isTransaction) this.#control.rollback.run()
    } catch {
      // The disk is gone. Whoever comes next meets that at BEGIN.
    }
    this.#inTransaction = false
    this.#options.hooks.rolledBack()
  }

  #conflict(message: string, cause?: unknown): QuadrilleError {
    return new QuadrilleError('LEDGER_CONFLICT', { ledger: this.#options.ledger, message }, cause)
  }
}
