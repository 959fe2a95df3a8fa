/** Keeps the WAL file small where several processes keep each other from emptying it. */
import type { StatementSync } from 'node:sqlite'
import type { Env } from '../../base/index.ts'
import { fileBytes } from './sqlite-health.ts'
import type { Connection } from './sqlite-connection.ts'

/** How often the file is looked at while there are commits. */
const lookMs = 50
/** The size from which on the others are made to wait: three times what a checkpoint after a commit leaves. */
const walBytesWanted = 24 * 1024 * 1024

/**
 * The checkpoint that follows a commit never waits, so among busy processes it may never get to the end, and a WAL that
 * was not moved whole is not begun anew: it grows (measured: 140 MB in three seconds with four processes). Above a
 * size this one takes the write lock, finishes, and empties the file.
 */
export class WalKeeper {
  readonly #env: Env
  readonly #file: string
  readonly #truncate: StatementSync
  #lookedAt = 0

  constructor({ db }: Connection, env: Env, path: string) {
    this.#env = env
    this.#file = `${path}-wal`
    this.#truncate = db.prepare('PRAGMA wal_checkpoint(TRUNCATE)')
  }

  /** To be called after commits, outside any transaction. */
  afterCommit(): void {
    const now = this.#env.elapsed()
    if (now - this.#lookedAt < lookMs) return
    this.#lookedAt = now
    if (fileBytes(this.#file) < walBytesWanted) return
    try {
      this.#truncate.get()
    } catch {
      // A reader or writer was in the way; the next commit comes soon. What stays in the way is told by health().
    }
  }
}
