/** Connections to the server: a pool for transactions, and lines that are kept for what is outside of any. */
import pg from 'pg'
import { doubledMs, messageOf, QuadrilleError, sleep, type Env } from 'quadrille'
import { hasState, isAway, quietState } from './postgres-errors.ts'
import { runGroup, type Rows, type Statement } from './statement-group.ts'

/** The pauses between attempts to connect. */
const retryMs = { min: 20, max: 500 }

/** Settings of all connections of a ledger. */
export interface ConnectionSettings {
  /** For messages: `postgres host:port/database`. */
  readonly ledger: string
  readonly client: pg.ClientConfig
  /** Transactions at once. */
  readonly transactions: number
  /** For how long a server that does not answer is asked again. */
  readonly connectWaitMs: number
  /** A statement of the ledger's own that takes longer has failed. */
  readonly statementMs: number
}

/** What all connections of a ledger share. */
export interface ConnectionContext {
  readonly settings: ConnectionSettings
  readonly env: Env
  /** Called whenever a connection is lost that nobody has closed. */
  readonly lost: () => void
}

const unreachable = (context: ConnectionContext, error: unknown): QuadrilleError =>
  new QuadrilleError('LEDGER_UNREACHABLE', { ledger: context.settings.ledger, message: messageOf(error) }, error)

/** Runs `connect` until the server answers, or for as long as is waited. @throws QuadrilleError `LEDGER_UNREACHABLE`. */
async function patiently<T>(context: ConnectionContext, connect: () => Promise<T>): Promise<T> {
  const { env, settings } = context
  const began = env.elapsed()
  for (let tries = 0; ; tries++) {
    const pauseMs = doubledMs(retryMs, tries)
    try {
      return await connect()
    } catch (error) {
      if (!isAway(error) || env.elapsed() - began + pauseMs > settings.connectWaitMs) throw unreachable(context, error)
    }
    await sleep(env, retryMs.min + env.random() * pauseMs)
  }
}

/**
 * Put before statements where the default of the database or the role is another level. Without LOCAL, and not as SET
 * TRANSACTION: both warn where no transaction was begun. It ends with the transaction all the same.
 */
const readCommitted: Statement = { text: `SET transaction_isolation = 'read committed'` }

/**
 * One connection that is made when it is needed and made again when it is lost. Statements are sent without waiting for
 * those before them. They run in READ COMMITTED, which the ledger's own functions need, whatever the default is.
 */
export class Line {
  readonly #context: ConnectionContext
  readonly #prepare: ((client: pg.Client) => Promise<void>) | undefined
  #client: Promise<pg.Client> | undefined
  /** Goes before the statements of each write. */
  #first: readonly Statement[] = []
  #closed = false

  /** @param prepare - Runs on every new connection before it is used. */
  constructor(context: ConnectionContext, prepare?: (client: pg.Client) => Promise<void>) {
    this.#context = context
    this.#prepare = prepare
  }

  /**
   * Runs statements in one write, which must do no harm when they are run twice: when the connection is lost they are
   * run again on a new one.
   *
   * @throws QuadrilleError `LEDGER_UNREACHABLE`, and what the server says about a statement.
   */
  async run(...statements: readonly Statement[]): Promise<readonly Rows[]> {
    let failure: unknown
    const outcome = await patiently(this.#context, async () => {
      const client = await this.connected()
      try {
        const first = this.#first
        return (await this.#timed(client, runGroup(client, [...first, ...statements]))).slice(first.length)
      } catch (error) {
        if (isAway(error)) throw error
        failure = error
        return undefined
      }
    })
    if (outcome === undefined) throw failure
    return outcome
  }

  /** The connection. */
  connected(): Promise<pg.Client> {
    return this.#client ?? this.#connect()
  }

  /** Ends the connection. What is under way is answered first. */
  async close(): Promise<void> {
    this.#closed = true
    const client = await this.#client?.catch(() => undefined)
    // A connection that was cut without a word never says that it has ended.
    if (client) await this.#timed(client, client.end()).catch(() => {})
  }

  #connect(): Promise<pg.Client> {
    const client = new pg.Client({ ...this.#context.settings.client, pipeline: true })
    const gone = () => {
      if (this.#client !== made) return
      this.#client = undefined
      if (!this.#closed) this.#context.lost()
    }
    client.on('error', gone)
    client.on('end', gone)
    const made = client.connect().then(async () => {
      const level = `SELECT current_setting('default_transaction_isolation')`
      const [rows] = await this.#timed(client, runGroup(client, [{ text: level }]))
      this.#first = rows![0]![0] === 'read committed' ? [] : [readCommitted]
      await this.#prepare?.(client)
      return client
    })
    made.catch(() => {
      gone()
      void client.end().catch(() => {})
    })
    this.#client = made
    return made
  }

  async #timed<T>(client: pg.Client, answer: Promise<T>): Promise<T> {
    const { env, settings } = this.#context
    const cancel = env.timer(settings.statementMs, () => client.connection.stream.destroy())
    try {
      return await answer
    } finally {
      cancel()
    }
  }
}

/** What the server, or the network, said when it ended a connection. */
const ends = new WeakMap<object, Error>()

/** Why a connection of {@link TransactionPool} has ended; undefined while it has not. */
export const endOf = (client: pg.PoolClient): Error | undefined => ends.get(client)

/** The connections for transactions. */
export class TransactionPool {
  readonly #context: ConnectionContext
  readonly #pool: pg.Pool
  readonly #watch: SilenceWatch

  /** @param isWorking - Whether the server has something under way for the connection with this process id. */
  constructor(context: ConnectionContext, isWorking: (pid: number) => Promise<boolean>) {
    this.#context = context
    this.#watch = new SilenceWatch(context, isWorking)
    const { client, transactions } = context.settings
    this.#pool = new pg.Pool({ ...client, pipeline: true, max: transactions, idleTimeoutMillis: 30_000 })
    this.#pool.on('connect', (made) => {
      made.on('error', (error) => {
        // The first says why; behind it comes that the connection was terminated.
        if (ends.has(made)) return
        ends.set(made, error)
        // A server that ends who is quiet is well, and has forgotten nothing.
        if (!hasState(error, quietState)) context.lost()
      })
    })
    this.#pool.on('acquire', (client) => this.#watch.add(client as unknown as Watched))
    this.#pool.on('release', (_error, client) => this.#watch.remove(client as unknown as Watched))
    // Without a listener the loss of an idle connection would end the process.
    this.#pool.on('error', () => {})
  }

  /** Waits for a free connection. @throws QuadrilleError `LEDGER_UNREACHABLE`. */
  take(): Promise<pg.PoolClient> {
    return patiently(this.#context, () => this.#pool.connect())
  }

  /** Ends all connections; those in use when they are given back. */
  async close(): Promise<void> {
    this.#watch.close()
    await this.#pool.end()
  }
}

/** The server ends a statement itself, when it can; it has this much longer to say so. */
const slackMs = 1_000

/** What is used of pg's client, which its types do not describe. */
interface Watched {
  readonly connection: { readonly stream: { readonly bytesRead: number; destroy(): void } }
  /** False while something that was sent is not answered. */
  readonly readyForQuery: boolean
  readonly processID: number
}

/**
 * Ends connections that were cut without a word, as by a router that has forgotten them: nobody would ever answer what was
 * sent. A handler may have given its statement more time, or sent many in one write; so the server is asked first.
 */
class SilenceWatch {
  readonly #context: ConnectionContext
  readonly #isWorking: (pid: number) => Promise<boolean>
  /** The connections in use: what each had read when it was last looked at and owed an answer. */
  readonly #used = new Map<Watched, number | undefined>()
  #cancel: (() => void) | undefined

  constructor(context: ConnectionContext, isWorking: (pid: number) => Promise<boolean>) {
    this.#context = context
    this.#isWorking = isWorking
  }

  add(client: Watched): void {
    this.#used.set(client, undefined)
    if (!this.#cancel) this.#next()
  }

  remove(client: Watched): void {
    this.#used.delete(client)
  }

  close(): void {
    this.#cancel?.()
  }

  #next(): void {
    const { env, settings } = this.#context
    this.#cancel = env.timer(settings.statementMs + slackMs, () => {
      void this.#look().finally(() => {
        this.#cancel = undefined
        if (this.#used.size > 0) this.#next()
      })
    })
  }

  async #look(): Promise<void> {
    for (const [client, before] of this.#used) {
      const { stream } = client.connection
      const read = stream.bytesRead
      const isOwed = !client.readyForQuery
      this.#used.set(client, isOwed ? read : undefined)
      if (!isOwed || read !== before) continue
      const isWorking = await this.#isWorking(client.processID).catch(() => false)
      if (!isWorking && this.#used.has(client) && stream.bytesRead === read) stream.destroy()
    }
  }
}
