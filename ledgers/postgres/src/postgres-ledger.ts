/** The ledger on PostgreSQL: brings connections, the log in memory and wake-ups together. */
import { invariant, isQuadrilleError, messageOf, QuadrilleError, type Env, type EventRecord } from 'quadrille'
import type {
  Claim,
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
} from 'quadrille'
import { Line, TransactionPool, type ConnectionContext, type ConnectionSettings } from './connections.ts'
import { eventOfRow } from './event-rows.ts'
import { findStatement } from './find-statement.ts'
import { LeaseDesk } from './lease-requests.ts'
import { Knowledge } from './knowledge.ts'
import { LogFollower } from './log-follower.ts'
import { isAway, isConflictError } from './postgres-errors.ts'
import { outcomeOf } from './commit-outcome.ts'
import { postgresHealth } from './postgres-health.ts'
import { PostgresTx, type TxContext } from './postgres-tx.ts'
import { countStatement, pendingOf, pendingStatement, queryStatement, recordOfRow } from './record-rows.ts'
import { RetentionSweep } from './retention-sweep.ts'
import { migrate, pendingSql, type SqlRunner } from './schema-migration.ts'
import type { SchemaNames } from './schema-names.ts'
import { runGroup, type Rows, type Statement } from './statement-group.ts'
import { WakeUps } from './wake-ups.ts'

/** Settings of {@link PostgresLedger}, all filled in. */
export interface PostgresLedgerSettings extends ConnectionSettings {
  readonly names: SchemaNames
  /** Where to listen for notifications; undefined for not at all. */
  readonly listen: ConnectionSettings['client'] | undefined
  readonly migrates: boolean
  /** A transaction whose process says nothing for longer is ended by the server. */
  readonly idleMs: number
  readonly tailEvents: number
  readonly tailBytes: number
}

/** Everything that exists between open and close. */
interface Opened {
  readonly pool: TransactionPool
  /** For what must be answered soon. */
  readonly line: Line
  /** For what may take its time. */
  readonly slow: Line
  readonly log: LogFollower
  readonly wakes: WakeUps
  readonly desk: LeaseDesk
  readonly sweep: RetentionSweep
  readonly tx: TxContext
  /** Transactions under way. */
  active: number
  whenNone: (() => void) | undefined
}

/** See {@link Ledger}; made by `postgres()`. */
export class PostgresLedger implements Ledger {
  readonly name: string
  readonly sideBySide = true
  readonly #settings: PostgresLedgerSettings
  #opened: Opened | undefined
  #closing: Promise<void> | undefined

  constructor(settings: PostgresLedgerSettings) {
    this.#settings = settings
    this.name = settings.ledger
  }

  async open(env: Env): Promise<void> {
    invariant(this.#opened === undefined && this.#closing === undefined, 'a ledger is opened once')
    const opened = this.#assemble(env)
    try {
      await this.#prepare(opened)
      await opened.log.begin()
      this.#opened = opened
    } catch (error) {
      await closeAll(opened)
      if (isQuadrilleError(error)) throw error
      throw new QuadrilleError('LEDGER_UNREACHABLE', { ledger: this.name, message: messageOf(error) }, error)
    }
  }

  /** The SQL that open() would run to make or migrate the tables; empty when they are up to date. */
  async migrationSql(env: Env): Promise<string> {
    const { names } = this.#settings
    const line = new Line({ settings: this.#settings, env, lost: () => {} })
    try {
      return await pendingSql(await runnerOn(line), names, this.name)
    } finally {
      await line.close()
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async transact<T>(work: (tx: LedgerTx) => Promise<T>): Promise<T> {
    const opened = this.#open('transact')
    opened.active += 1
    try {
      const { value, tx } = await this.#run(opened, work)
      opened.log.committed(tx.appended)
      if (tx.hasAppended) opened.log.expect()
      if (tx.concernsOthers) opened.wakes.committed()
      return value
    } finally {
      opened.active -= 1
      if (opened.active === 0) opened.whenNone?.()
    }
  }

  isConflict(error: unknown): boolean {
    return isConflictError(error)
  }

  async read(query: ReadQuery): Promise<ReadPage> {
    return this.#open('read').log.read(query)
  }

  async find(query: FindQuery): Promise<readonly EventRecord[]> {
    const rows = await this.#open('find').slow.run(findStatement(this.#settings.names, query))
    return rows[0]!.map((row) => eventOfRow(row))
  }

  async query(query: RecordQuery): Promise<readonly LedgerRecord[]> {
    const rows = await this.#open('query').slow.run(queryStatement(this.#settings.names, query))
    return rows[0]!.map(recordOfRow)
  }

  async count(query: Parameters<Ledger['count']>[0]): Promise<number> {
    const rows = await this.#open('count').slow.run(countStatement(this.#settings.names, query))
    return Number(rows[0]![0]![0])
  }

  async pending(query: PendingQuery): Promise<readonly Pending[]> {
    const rows = await this.#open('pending').slow.run(pendingStatement(this.#settings.names, query))
    return pendingOf(rows[0]!)
  }

  async lease(request: LeaseRequest): Promise<LeaseGrant> {
    return this.#open('lease').desk.ask(request)
  }

  async positions(reader: string): Promise<readonly number[]> {
    const { quoted } = this.#settings.names
    const text = `SELECT position FROM ${quoted}.leases WHERE reader = $1 ORDER BY partition`
    const rows = await this.#open('positions').slow.run({ text, values: [reader] })
    return rows[0]!.map(([position]) => Number(position))
  }

  async readers(): Promise<readonly string[]> {
    const { quoted } = this.#settings.names
    const text = `SELECT DISTINCT reader FROM ${quoted}.leases ORDER BY reader`
    const rows = await this.#open('readers').slow.run({ text })
    return rows[0]!.map(([reader]) => reader!)
  }

  onAppend(wake: () => void): () => void {
    return this.#open('onAppend').wakes.add(wake)
  }

  async trim(request: TrimRequest): Promise<number> {
    const { slow, sweep, log } = this.#open('trim')
    const rows = await slow.run(sweep.statement(request))
    const { removed, upTo } = sweep.took(rows[0]!)
    log.trimmed(upTo)
    return removed
  }

  async health(): Promise<LedgerHealth> {
    const { slow, log } = this.#open('health')
    return postgresHealth(slow, this.#settings.names, log.size)
  }

  #open(operation: string): Opened {
    if (this.#opened === undefined || this.#closing !== undefined)
      throw new QuadrilleError('LEDGER_CLOSED', { ledger: this.name, operation })
    return this.#opened
  }

  async #run<T>(
    opened: Opened,
    work: (tx: LedgerTx) => Promise<T>,
  ): Promise<{ readonly value: T; readonly tx: PostgresTx }> {
    const client = await opened.pool.take()
    const tx = new PostgresTx(client, opened.tx)
    let broken: unknown
    let value: T
    try {
      value = await work(tx)
      tx.close()
      if (tx.appendsLast) await opened.log.during(() => tx.commit())
      else await tx.commit()
      return { value, tx }
    } catch (error) {
      const lostBy = isAway(error) ? error : tx.lostBy
      broken = lostBy !== undefined || isQuadrilleError(error, 'LEDGER_OUTCOME_UNKNOWN') ? error : undefined
      tx.close()
      await tx.rollback()
      // Who counts on its events, or stands behind their positions, has to look.
      if (tx.appendsLast) opened.wakes.wake()
      if (isQuadrilleError(error, 'LEDGER_OUTCOME_UNKNOWN')) {
        await this.#settle(opened, tx, error)
        return { value: value!, tx }
      }
      if (lostBy !== undefined) throw this.#unreachable(lostBy)
      throw error
    } finally {
      client.release(broken !== undefined)
    }
  }

  /** Finds out whether it has committed. @throws what the caller must know when it has not, or when nobody can tell. */
  async #settle({ slow }: Opened, tx: PostgresTx, unknown: Error): Promise<void> {
    const { lostCommit } = tx
    if (lostCommit === undefined) throw unknown
    const outcome = await outcomeOf(lostCommit, this.#settings.names, slow).catch(() => undefined)
    if (outcome === undefined) throw unknown
    if (!outcome.committed) throw this.#unreachable(unknown)
    tx.hasCommitted(outcome.positions)
  }

  #unreachable(error: unknown): QuadrilleError {
    return new QuadrilleError('LEDGER_UNREACHABLE', { ledger: this.name, message: messageOf(error) }, error)
  }

  #assemble(env: Env): Opened {
    const { names, listen, statementMs, idleMs, tailEvents, tailBytes } = this.#settings
    const knowledge = new Knowledge()
    const lost = () => {
      knowledge.doubt()
      log.doubt()
      wakes.wake()
    }
    const context: ConnectionContext = { settings: this.#settings, env, lost }
    const line = new Line(context)
    const slow = new Line(context)
    const listening = listen && { ...context, settings: { ...this.#settings, client: listen } }
    const drawn = async () => {
      const [rows] = await slow.run({ text: `SELECT last_value FROM ${names.quoted}.positions` })
      return Number(rows![0]![0])
    }
    const wakes = new WakeUps({
      env,
      channel: names.channel,
      line: slow,
      listening,
      drawn,
      others: () => log.expect(),
      self: env.uuid(),
    })
    const log = new LogFollower({ names, line, limits: { events: tailEvents, bytes: tailBytes }, restarted: lost })
    const run = async (statement: Statement) => (await line.run(statement))[0]!
    const desk = new LeaseDesk({
      env,
      names,
      knowledge,
      run,
      drawn: (position) => wakes.heard(position),
      released: () => wakes.committed(),
    })
    const token = () => Math.floor(env.random() * 2 ** 31)
    const knows = (claim: Claim) => !knowledge.isDoubtful(claim)
    const tx = { ledger: this.name, names, statementMs, idleMs, token, knows }
    const isWorking = async (pid: number) => (await slow.run(isWorkingStatement(pid)))[0]!.length > 0
    const pool = new TransactionPool(context, isWorking)
    return {
      pool,
      line,
      slow,
      log,
      wakes,
      desk,
      sweep: new RetentionSweep(names),
      tx,
      active: 0,
      whenNone: undefined,
    }
  }

  async #prepare({ line }: Opened): Promise<void> {
    const { names, migrates } = this.#settings
    const runner = await runnerOn(line)
    if (migrates) {
      await migrate(runner, names, this.name)
      // A copy that was made without sequences would give positions away a second time. Never so in a whole one.
      const text = `SELECT setval(${names.literal('positions')}, newest)
        FROM (SELECT max(position) AS newest FROM ${names.quoted}.events) AS log, ${names.quoted}.positions
        WHERE newest > last_value OR newest = last_value AND NOT is_called`
      await line.run({ text })
      return
    }
    if ((await pendingSql(runner, names, this.name)) === '') return
    const problem = `its schema ${names.schema} is not there or of an older version, and migrate is false`
    throw new QuadrilleError('LEDGER_INCOMPATIBLE', { ledger: this.name, problem })
  }

  async #close(): Promise<void> {
    const opened = this.#opened
    if (opened === undefined) return
    if (opened.active > 0) await new Promise<void>((resolve) => (opened.whenNone = resolve))
    this.#opened = undefined
    await closeAll(opened)
  }
}

/** A server that can not get rid of what it has to say, because nobody takes it, does not work. */
const isWorkingStatement = (pid: number): Statement => ({
  text: `SELECT 1 FROM pg_catalog.pg_stat_activity
    WHERE pid = $1 AND state = 'active' AND wait_event IS DISTINCT FROM 'ClientWrite'`,
  values: [pid],
})

async function closeAll({ pool, line, slow, wakes, desk }: Opened): Promise<void> {
  desk.close()
  await wakes.close()
  await Promise.all([pool.close(), line.close(), slow.close()])
}

/** Runs the statements of a migration, all on one connection. */
async function runnerOn(line: Line): Promise<SqlRunner> {
  await line.run()
  const client = await line.connected()
  return {
    async script(sql: string): Promise<void> {
      if (sql !== '') await client.query(sql)
    },
    async rows(statement: Statement): Promise<Rows> {
      return (await runGroup(client, [statement]))[0]!
    },
  }
}
