/** What this process remembers of the database, brought up to date with every commit and rollback. */
import type { EventRecord } from '../../contracts/index.ts'
import type { CommitWatch } from './commit-watch.ts'
import type { GroupHooks } from './group-commit.ts'
import type { LogReader } from './log-reader.ts'
import type { TxTables } from './sqlite-tx.ts'
import type { WalKeeper } from './wal-keeper.ts'

/** What {@link CommitEffects} keeps up to date. */
export interface CommitEffectsOptions {
  readonly tables: TxTables
  readonly log: LogReader
  readonly watch: CommitWatch
  /** Undefined for a database in memory. */
  readonly wal: WalKeeper | undefined
}

/** Follows the groups of works: what they appended is known when they commit, and forgotten when they do not. */
export class CommitEffects implements GroupHooks {
  readonly #options: CommitEffectsOptions
  /** Where in the events collected by the group those of the current work begin. */
  #mark = 0
  /** How many events of the group are of works that have ended well. */
  #finished = 0
  /** How many of them the readers of this process have been told of. */
  #offered = 0
  /** A position up to which the current group has trimmed. */
  #trimmedTo = 0

  constructor(options: CommitEffectsOptions) {
    this.#options = options
  }

  /** The current work has trimmed up to a position; 0 when only other rows went. */
  trimmed(upTo: number): void {
    this.#trimmedTo = Math.max(this.#trimmedTo, upTo)
    this.#options.tables.events.forget()
  }

  begun(): void {
    this.#options.watch.look()
  }

  mark(): void {
    this.#mark = this.#options.tables.appended.length
  }

  finished(): void {
    this.#finished = this.#options.tables.appended.length
  }

  offer(): boolean {
    if (this.#finished === this.#offered) return false
    this.#offered = this.#finished
    this.#options.watch.wake()
    return true
  }

  /** What works of the open group that have ended well have appended; it stays unless the whole group fails. */
  pending(): { readonly events: readonly EventRecord[]; readonly basis: number } {
    const { appended, failedGroups } = this.#options.tables
    return { events: appended.slice(0, this.#finished), basis: failedGroups }
  }

  undone(): void {
    const { tables } = this.#options
    tables.appended.length = this.#mark
    forgetRows(tables)
  }

  committed(): void {
    const { tables, log, watch } = this.#options
    if (this.#trimmedTo > 0) log.trimmed(this.#trimmedTo)
    this.#trimmedTo = 0
    if (tables.appended.length === 0) return
    log.own(tables.appended)
    this.#forgetAppended()
    watch.wake()
  }

  rolledBack(): void {
    const { tables } = this.#options
    tables.failedGroups += 1
    this.#forgetAppended()
    this.#trimmedTo = 0
    forgetRows(tables)
  }

  #forgetAppended(): void {
    this.#options.tables.appended.length = 0
    this.#finished = 0
    this.#offered = 0
  }

  between(): void {
    this.#options.wal?.afterCommit()
  }

  amongOthers(): boolean {
    return this.#options.watch.amongOthers()
  }
}

/** Forgets what is remembered of rows that may have changed or gone. */
export function forgetRows(tables: TxTables): void {
  tables.leases.forget()
  tables.events.forget()
}
