/** What PostgreSQL does with many events in the ledger: append, read, size, the order flow on top, and retention. */
import { postgres } from '@quadrille/postgres'
import { systemEnv, type Ledger } from 'quadrille'
import { eventsOf, firedJoin, passed } from './history.ts'
import { runJob } from './job.ts'
import { machine, meter } from './machine.ts'
import { runOn, serverMeter, withDatabase } from './postgres-server.ts'
import { round } from './statistics.ts'
import { createPostgresTables, startQuadrillePostgres } from './systems/quadrille-postgres.ts'

/** What can be set. */
export interface GrowthOnPostgresOptions {
  readonly server: string
  readonly events: number
  /** Of the order flow, before and after. */
  readonly orders: number
  readonly warmUp: number
  readonly progress: (text: string) => void
}

/** How fast something went. */
interface Rate {
  readonly events: number
  readonly eventsPerSecond: number
  readonly seconds: number
  readonly serverCpuSeconds: number
  readonly nodeCpuSeconds: number
}

/** Megabytes of the ledger's tables, each with its indexes. */
type Sizes = Readonly<Record<string, number>>

/** What is printed as JSON. */
export interface GrowthOnPostgres {
  readonly events: number
  readonly append: Rate & { readonly firstTenth: number; readonly lastTenth: number }
  readonly read: Rate
  readonly retention: Rate
  readonly flowOnEmpty: number
  readonly flowOnFull: number
  readonly megabytes: { readonly full: Sizes; readonly eventIndexes: number; readonly afterRetention: Sizes }
  readonly machine: Readonly<Record<string, unknown>>
}

const eventsPerOrder = 4
const ordersPerTransaction = 500
const transactionsAtOnce = 4
const pageEvents = 1_000
const trimRows = 500

/** Measures on a database of its own. */
export function growthOnPostgres(options: GrowthOnPostgresOptions): Promise<GrowthOnPostgres> {
  return withDatabase(options.server, (database) => measure(database, options))
}

async function measure(database: string, options: GrowthOnPostgresOptions): Promise<GrowthOnPostgres> {
  const { events, progress } = options
  await createPostgresTables(database)
  const registered = await startQuadrillePostgres({ database, batches: false, notified() {} })
  await registered.stop()
  const flowOnEmpty = await flow(database, 'e', options)
  const append = await onLedger(database, (ledger) => fill(ledger, database, options))
  progress(`appended: ${JSON.stringify(append)}`)
  await runOn(database, 'VACUUM ANALYZE')
  const full = await sizes(database)
  const eventIndexes = await megabytes(database, `SELECT pg_indexes_size('quadrille.events') AS bytes`)
  const read = await onLedger(database, (ledger) => readAll(ledger, database))
  progress(`read: ${JSON.stringify(read)}`)
  const flowOnFull = await flow(database, 'f', options)
  const retention = await onLedger(database, (ledger) => trimAll(ledger, database, progress))
  progress(`removed: ${JSON.stringify(retention)}`)
  await runOn(database, 'VACUUM')
  const afterRetention = await sizes(database)
  const megabytesFound = { full, eventIndexes, afterRetention }
  return { events, append, read, retention, flowOnEmpty, flowOnFull, megabytes: megabytesFound, machine: machine() }
}

async function onLedger<T>(database: string, use: (ledger: Ledger) => Promise<T>): Promise<T> {
  const ledger = postgres(database)
  await ledger.open(systemEnv)
  try {
    return await use(ledger)
  } finally {
    await ledger.close()
  }
}

async function flow(database: string, prefix: string, { orders, warmUp, progress }: GrowthOnPostgresOptions) {
  const result = await runJob({ ledger: 'postgres', system: 'quadrille', database, prefix, warmUp, orders })
  const ordersPerSecond = round(result.throughput!.ordersPerSecond)
  progress(`order flow: ${ordersPerSecond} orders/s`)
  return ordersPerSecond
}

/** Measures how long something takes with so many events. */
async function timed(database: string, work: () => Promise<number>): Promise<Rate> {
  const read = meter(await serverMeter(database))
  const events = await work()
  const { seconds, cpuSeconds, serverCpuSeconds } = read()
  return {
    events,
    eventsPerSecond: round(events / seconds),
    seconds: round(seconds, 1),
    serverCpuSeconds: round(serverCpuSeconds, 1),
    nodeCpuSeconds: round(cpuSeconds, 1),
  }
}

async function fill(ledger: Ledger, database: string, { events, progress }: GrowthOnPostgresOptions) {
  const orders = Math.ceil(events / eventsPerOrder)
  const marks: number[] = []
  const began = performance.now()
  let next = 0
  let head = 0
  const lane = async (): Promise<void> => {
    while (next < orders) {
      const from = next
      next = Math.min(orders, from + ordersPerTransaction)
      const last = await append(ledger, from, next)
      head = Math.max(head, last)
      if (next < ((marks.length + 1) * orders) / 10) continue
      marks.push((performance.now() - began) / 1000)
      progress(`${next * eventsPerOrder} events`)
    }
  }
  const rate = await timed(database, async () => {
    await Promise.all(Array.from({ length: transactionsAtOnce }, lane))
    return orders * eventsPerOrder
  })
  await passed(ledger, head)
  const tenth = (orders * eventsPerOrder) / 10
  const lastSeconds = marks.at(-1)! - (marks.at(-2) ?? 0)
  return { ...rate, firstTenth: round(tenth / marks[0]!), lastTenth: round(tenth / lastSeconds) }
}

function append(ledger: Ledger, from: number, to: number): Promise<number> {
  const orders = Array.from({ length: to - from }, (_, index) => eventsOf('h', from + index, 'history'))
  return ledger
    .transact(async (tx) => {
      await tx.save(orders.map((events) => firedJoin(events[0]!.key)))
      return tx.appendLast(orders.flat())
    })
    .then((positions) => positions().at(-1)!)
}

const readAll = (ledger: Ledger, database: string): Promise<Rate> =>
  timed(database, async () => {
    let count = 0
    for (let after = 0; ;) {
      const page = await ledger.read({ after, limit: pageEvents })
      count += page.events.length
      after = page.upTo
      if (page.end) return count
    }
  })

const trimAll = (ledger: Ledger, database: string, progress: (text: string) => void): Promise<Rate> =>
  timed(database, async () => {
    const upTo = (await ledger.health()).head
    const old = Date.now() + 1
    let all = 0
    for (let told = 0; ;) {
      const request = { upTo, eventsBefore: old, idsBefore: 0, recordsBefore: 0, limit: trimRows }
      const removed = await ledger.trim(request)
      if (removed === 0) return all
      all += removed
      if (all - told < upTo / 10) continue
      told = all
      progress(`${all} events removed`)
    }
  })

async function sizes(database: string): Promise<Sizes> {
  const { rows } = await runOn(
    database,
    `SELECT relname AS name, pg_total_relation_size(relid) AS bytes FROM pg_stat_user_tables
      WHERE schemaname = 'quadrille' ORDER BY 1`,
  )
  return Object.fromEntries(
    (rows as { name: string; bytes: string }[]).map(({ name, bytes }) => [name, round(Number(bytes) / 2 ** 20, 1)]),
  )
}

async function megabytes(database: string, sql: string): Promise<number> {
  const { rows } = await runOn(database, sql)
  return round(Number((rows[0] as { bytes: string }).bytes) / 2 ** 20, 1)
}
