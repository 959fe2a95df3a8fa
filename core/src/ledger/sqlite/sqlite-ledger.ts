/** The ledger on SQLite: brings the tables, the queue of transactions and the log in memory together. */
import { doubledMs, isQuadrilleError, QuadrilleError, invariant, messageOf, sleep, type Env } from '../../base/index.ts'
import type { EventRecord } from '../../contracts/index.ts'
import type {
  FindQuery,
  LeaseGrant,
  LeaseRequest,
  Ledger,
  LedgerHealth,
  LedgerRecord,
  LedgerTx,
  Pending,
  PendingQuery,
  ReadPage,
  ReadQuery,
  RecordQuery,
  TrimRequest,
} from '../ledger.ts'
import { CommitEffects, forgetRows } from './commit-effects.ts'
import { CommitWatch } from './commit-watch.ts'
import { EventAppender, EventReader } from './event-table.ts'
import { GroupCommit } from './group-commit.ts'
import { LeaseReader, LeaseWriter } from './lease-table.ts'
import { LogReader } from './log-reader.ts'
import { RecordReader, RecordWriter } from './record-table.ts'
import { RetentionSweep } from './retention-sweep.ts'
import { migrate } from './schema-migration.ts'
import { openConnection, type Connection } from './sqlite-connection.ts'
import { isBusy, isNotADatabase, isOutside } from './sqlite-errors.ts'
import { sqliteHealth } from './sqlite-health.ts'
import { SqliteTx, type TxTables } from './sqlite-tx.ts'
import { WalKeeper } from './wal-keeper.ts'

/** The shortest and the longest pause before a read or an opening that met a lock is tried again. */
const retryMs = { min: 1, max: 20 }

/** Settings of {@link SqliteLedger}, all filled in. */
export interface SqliteLedgerSettings {
  readonly path: string
  readonly synchronous: 'FULL' | 'NORMAL'
  readonly busyWaitMs: number
  readonly cacheBytes: number
  readonly tailEvents: number
  readonly tailBytes: number
}

/** The tables as one connection sees them. */
interface Views {
  readonly connection: Connection
  readonly events: EventReader
  readonly records: RecordReader
  readonly leases: LeaseReader
}

const viewsOf = (connection: Connection): Views => ({
  connection,
  events: new EventReader(connection),
  records: new RecordReader(connection),
  leases: new LeaseReader(connection),
})

/** Everything that exists between open and close. */
interface Opened {
  readonly env: Env
  readonly writer: Connection
  /** The same as `writer` for a database in memory. */
  readonly reader: Connection
  readonly group: GroupCommit
  readonly watch: CommitWatch
  readonly log: LogReader
  readonly tables: TxTables
  readonly effects: CommitEffects
  /** The tables through the connection that sees just what is committed at the moment. */
  readonly views: () => Views
  readonly sweep: RetentionSweep
}

/** See {@link Ledger}; made by `sqlite()`. */
export class SqliteLedger implements Ledger {
  readonly name: string
  readonly #settings: SqliteLedgerSettings
  readonly #inMemory: boolean
  #opened: Opened | undefined
  #closing: Promise<void> | undefined

  constructor(settings: SqliteLedgerSettings) {
    this.#settings = settings
    this.#inMemory = settings.path === ':memory:'
    this.name = `sqlite ${settings.path}`
  }

  async open(env: Env): Promise<void> {
    invariant(this.#opened === undefined && this.#closing === undefined, 'a ledger is opened once')
    const { path, synchronous, cacheBytes } = this.#settings
    const connect = (readOnly: boolean) => openConnection({ path, synchronous, cacheBytes, readOnly })
    let writer: Connection | undefined
    let reader: Connection | undefined
    try {
      writer = await this.#patiently(env, () => connect(false))
      const { db } = writer
      await this.#patiently(env, () => migrate(db, this.name))
      reader = this.#inMemory ? writer : await this.#patiently(env, () => connect(true))
      this.#opened = await this.#patiently(env, () => this.#assemble(env, writer!, reader!))
    } catch (error) {
      if (reader !== writer) reader?.db.close()
      writer?.db.close()
      if (isQuadrilleError(error)) throw error
      if (!isNotADatabase(error))
        throw new QuadrilleError('LEDGER_UNREACHABLE', { ledger: this.name, message: messageOf(error) }, error)
      throw new QuadrilleError('LEDGER_INCOMPATIBLE', { ledger: this.name, problem: messageOf(error) }, error)
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  transact<T>(work: (tx: LedgerTx) => Promise<T>): Promise<T> {
    try {
      const { group, tables } = this.#open('transact')
      return group.run(async () => {
        const tx = new SqliteTx(tables)
        try {
          return await work(tx)
        } finally {
          tx.close()
        }
      })
    } catch (error) {
      return Promise.reject(error)
    }
  }

  isConflict(error: unknown): boolean {
    return isOutside(error)
  }

  async read(query: ReadQuery): Promise<ReadPage> {
    const { watch, log } = this.#open('read')
    if (this.#inMemory && log.inMemory(query)) return log.read(query)
    return this.#reading(() => {
      watch.look()
      return log.read(query)
    })
  }

  async find(query: FindQuery): Promise<readonly EventRecord[]> {
    const { views } = this.#open('find')
    return this.#reading(() => views().events.find(query))
  }

  async query(query: RecordQuery): Promise<readonly LedgerRecord[]> {
    const { views } = this.#open('query')
    return this.#reading(() => views().records.query(query))
  }

  async count(query: {
    readonly scope: string
    readonly kind: string
    readonly partitions?: readonly number[]
  }): Promise<number> {
    const { views } = this.#open('count')
    return this.#reading(() => views().records.count(query))
  }

  async pending(query: PendingQuery): Promise<readonly Pending[]> {
    const { views } = this.#open('pending')
    return this.#reading(() => views().records.pending(query))
  }

  async lease(request: LeaseRequest): Promise<LeaseGrant> {
    const { group, tables, env } = this.#open('lease')
    return group.run(async () => tables.leases.lease(request, env.now()))
  }

  async positions(reader: string): Promise<readonly number[]> {
    const { views } = this.#open('positions')
    return this.#reading(() => views().leases.positions(reader))
  }

  async readers(): Promise<readonly string[]> {
    const { views } = this.#open('readers')
    return this.#reading(() => views().leases.readers())
  }

  onAppend(wake: () => void): () => void {
    return this.#open('onAppend').watch.add(wake)
  }

  async trim(request: TrimRequest): Promise<number> {
    const { group, effects, sweep, env } = this.#open('trim')
    return group.run(async () => {
      const { removed, upTo } = sweep.step(request, env.now())
      effects.trimmed(upTo)
      return removed
    })
  }

  async health(): Promise<LedgerHealth> {
    const { views, log } = this.#open('health')
    const file = this.#inMemory ? undefined : this.#settings.path
    return this.#reading(() => {
      const { connection, events } = views()
      return sqliteHealth({ reader: connection, file, tailEvents: log.size, head: events.head() })
    })
  }

  #open(operation: string): Opened {
    if (this.#opened === undefined || this.#closing !== undefined) {
      throw this.#closedError(operation)
    }
    return this.#opened
  }

  #closedError(operation: string): QuadrilleError {
    return new QuadrilleError('LEDGER_CLOSED', { ledger: this.name, operation })
  }

  #assemble(env: Env, writer: Connection, reader: Connection): Opened {
    const { tailEvents, tailBytes, busyWaitMs } = this.#settings
    const tables: TxTables = {
      source: writer,
      events: new EventAppender(writer),
      records: new RecordWriter(writer),
      queries: new RecordReader(writer),
      leases: new LeaseWriter(writer),
      appended: [],
      failedGroups: 0,
      ledger: this.name,
    }
    const [own, apart] = [viewsOf(writer), writer === reader ? undefined : viewsOf(reader)]
    // Every commit of one connection empties the cache of the other, so that one is left for when a transaction is open.
    const views = (): Views => (group.inTransaction && apart ? apart : own)
    const onOthers = () => {
      log.othersCommitted()
      forgetRows(tables)
    }
    // Before the log asks for the newest position: a commit in between is then noticed, not missed.
    const watch = new CommitWatch({ connection: writer, env, shared: !this.#inMemory, onOthers })
    const limits = { events: tailEvents, bytes: tailBytes }
    const pending = () => effects.pending()
    const log = new LogReader({ reader: () => views().events, limits, head: own.events.head(), pending })
    const wal = this.#inMemory ? undefined : new WalKeeper(writer, env, this.#settings.path)
    const effects = new CommitEffects({ tables, log, watch, wal })
    const group = new GroupCommit({ connection: writer, env, ledger: this.name, busyWaitMs, hooks: effects })
    return { env, writer, reader, group, watch, log, tables, effects, views, sweep: new RetentionSweep(writer) }
  }

  /** Runs a read when it sees only what is committed. */
  async #reading<T>(read: () => T): Promise<T> {
    const { group, env } = this.#opened!
    const step = () => {
      // It may have been closed while this read waited.
      if (this.#opened === undefined) throw this.#closedError('read')
      return read()
    }
    return this.#patiently(env, step, this.#inMemory ? group : undefined)
  }

  /** Runs `step` until it does not meet a lock of another process. */
  async #patiently<T>(env: Env, step: () => T, group?: GroupCommit): Promise<T> {
    const began = env.elapsed()
    for (let tries = 0; ; tries++) {
      try {
        // In memory there is one connection, which sees what is not committed yet.
        while (group?.inTransaction) await group.ended()
        return step()
      } catch (error) {
        if (!isBusy(error)) throw error
        const waitedMs = Math.round(env.elapsed() - began)
        if (waitedMs >= this.#settings.busyWaitMs) {
          throw new QuadrilleError('LEDGER_BUSY', { ledger: this.name, waitedMs }, error)
        }
      }
      await sleep(env, retryMs.min + env.random() * doubledMs(retryMs, tries))
    }
  }

  async #close(): Promise<void> {
    const opened = this.#opened
    if (opened === undefined) return
    const { group, watch, writer, reader } = opened
    await group.idle()
    watch.close()
    this.#opened = undefined
    if (reader !== writer) reader.db.close()
    // SQLite itself moves the WAL into the database when the last connection of all processes is closed.
    writer.db.close()
  }
}
