/** Processes of a test: started from a script, ended by pid, and talked to over Node's own channel between processes. */
import { fork, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import type { Report, Setup } from './member.ts'

const script = fileURLToPath(new URL('./member.ts', import.meta.url))

/** A number in [0, 1), the same sequence for the same seed. Source: mulberry32 by Tommy Ettinger (public domain). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A folder of its own for one test, removed at the end. */
export class Place implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'quadrille-crash-'))
  readonly file = join(this.folder, 'ledger.db')
  /** The outside world: what happens here is in no transaction of the ledger. */
  readonly outside = join(this.folder, 'outside.db');

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** One process. */
export class Member {
  readonly reports: Report[] = []
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>
  readonly #child: ChildProcess
  readonly #onReport: (report: Report) => void
  #look: () => void = () => {}
  #ended = false

  constructor(setup: Setup, onReport: (report: Report) => void) {
    this.#onReport = onReport
    this.#child = fork(script, [JSON.stringify(setup)], {
      execArgv: ['--conditions=quadrille-source'],
      stdio: ['ignore', 'inherit', setup.silent ? 'ignore' : 'inherit', 'ipc'],
    })
    this.#child.on('message', (report: Report) => {
      this.reports.push(report)
      this.#onReport(report)
      this.#look()
    })
    this.exited = once(this.#child, 'exit').then(([code, signal]) => {
      this.#ended = true
      this.#look()
      return { code, signal }
    })
  }

  get hasEnded(): boolean {
    return this.#ended
  }

  /** Resolves with the first report that fits, also one that has come already; fails when the process ends without it. */
  async told<R extends Report>(fits: (report: Report) => report is R): Promise<R>
  async told(fits: (report: Report) => boolean): Promise<Report>
  async told(fits: (report: Report) => boolean): Promise<Report> {
    for (;;) {
      const found = this.reports.find(fits)
      if (found) return found
      if (this.#ended) throw new Error('the process has ended without telling it')
      await new Promise<void>((resolve) => (this.#look = resolve))
    }
  }

  ready(): Promise<Report> {
    return this.told((report) => report.what === 'ready')
  }

  /** Tells the process to do something; a process that is gone does not hear it. */
  ask(order: object): void {
    if (this.#child.connected) this.#child.send(order, () => {})
  }

  /** SIGKILL, and resolves when the process is gone. */
  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.exited
  }

  signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGTERM'): void {
    if (!this.#ended) this.#child.kill(signal)
  }

  /**
   * Stops it where it is in no transaction of the file, for a process that was stopped in one would hold SQLite's lock, and with
   * it everybody else.
   */
  async fallAsleep(file: string): Promise<void> {
    for (;;) {
      this.signal('SIGSTOP')
      await until('the process to stand still', () => stateOf(this.#child.pid!).startsWith('T'), { everyMs: 1 })
      if (isWritable(file)) return
      this.signal('SIGCONT')
      await pause(1)
    }
  }
}

/** As `ps` says it. */
const stateOf = (pid: number): string =>
  spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim()

/** Whether nobody holds the write lock of a database. */
function isWritable(file: string): boolean {
  const db = new DatabaseSync(file, { timeout: 0 })
  try {
    db.exec('BEGIN IMMEDIATE')
    return true
  } catch {
    return false
  } finally {
    db.close()
  }
}

/** All processes of a test; none of them outlives it. */
export class Crew implements AsyncDisposable {
  readonly #members = new Set<Member>()

  start(setup: Setup, onReport: (report: Report) => void = () => {}): Member {
    const member = new Member(setup, onReport)
    this.#members.add(member)
    void member.exited.then(() => this.#members.delete(member))
    return member
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#members].map((member) => member.kill()))
  }
}

/** Asks again and again until the answer is true. A test that waits too long says for what. */
export async function until(
  what: string,
  ask: () => boolean | Promise<boolean>,
  { timeoutMs = 30_000, everyMs = 20 } = {},
): Promise<number> {
  const startedAt = performance.now()
  while (!(await ask())) {
    if (performance.now() - startedAt > timeoutMs) throw new Error(`waited ${timeoutMs} ms in vain for: ${what}`)
    await pause(everyMs)
  }
  return performance.now() - startedAt
}

/** Only for schedules of faults and between two looks; never in place of a fact. */
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
