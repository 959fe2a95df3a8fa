/** A process's share of the shop: some or all of the services on the one database, and the API beside the orders. */
import { consoleLogger, durationMs, start, type App, type Duration, type Logger } from 'quadrille'
import { orderApi } from '../api.ts'
import { checkout, outside } from '../choreography.ts'
import { openDatabase } from '../database.ts'
import { serveHttp } from '../http-server.ts'
import { orderQueries } from '../order-queries.ts'
import { overWire, type WireAt } from './wires.ts'

export const serviceNames = ['orders', 'payments', 'inventory', 'notifications'] as const
export type ServiceName = (typeof serviceNames)[number]

export interface WorkerOptions {
  /** The database: a SQLite file, or the address of a PostgreSQL database. */
  readonly database: string
  readonly services: readonly ServiceName[]
  /** Where the payment provider and the mail server are. */
  readonly provider: string
  readonly mailbox: string
  /** The port of the API, which runs where the order service runs; 0 for any free one. */
  readonly port: number
  /** How soon others take over what a dead process leaves behind. Default: the toolkit's. */
  readonly lease?: Duration | undefined
  /** For how long what was handled is remembered, and how long an order may be open. Default: the toolkit's, and 15 minutes. */
  readonly remember?: Duration | undefined
  /** What joins this process with the others when each service has a database of its own. */
  readonly wire?: WireAt | undefined
}

export interface Worker {
  /** The API's address; undefined when the order service runs elsewhere. */
  readonly api: string | undefined
  readonly app: App
  stop(): Promise<void>
}

/** True when the services of this process have nothing left to do; false also when they can not be asked now. */
export async function isQuiet(app: App): Promise<boolean> {
  const health = await app.health().catch(() => undefined)
  if (!health) return false
  const isRead = health.readers.every((reader) => reader.backlog === 0 && reader.waiting === 0)
  const isSent = health.wires.every(({ sending }) => sending.backlog === 0 && sending.parked === 0)
  const isReceived = health.wires.every(({ receiving }) => receiving.every(({ lag }) => (lag ?? 0) === 0))
  return isRead && isSent && isReceived
}

/** No chain of events of an order is longer; the shorter they are, the sooner can be forgotten what led to them. */
const maxHops = 5

/** What an undo needs must outlive the order; an order may be open no longer than events are kept. */
const retentionOf = (events: Duration) => {
  const eventsMs = durationMs(events, 'remember')
  return { events: eventsMs, memory: 2 * eventsMs, every: Math.min(60_000, Math.ceil(eventsMs / 60)) }
}

/** That a try fails is what the payment provider is there for; the summary and the flow of a conversation tell of it. */
const log: Logger = {
  ...consoleLogger,
  warn(facts, message) {
    const isTry = 'err' in facts && 'reaction' in facts
    if (!isTry) consoleLogger.warn(facts, message)
  },
}

export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const { lease, remember, wire } = options
  const database = await openDatabase(options.database)
  const all = checkout(outside(options), remember).services
  const own = all.filter((service) => options.services.some((name) => name === service.name))
  const joined = wire ? await overWire(wire, own) : { services: own }
  const retention = remember === undefined ? {} : retentionOf(remember)
  const app = await start({ ...joined, ledger: database.ledger, lease, retention, log, policy: { maxHops } })
  const queries = orderQueries(database.tables)
  const http = options.services.includes('orders') ? await serveHttp(orderApi(app, queries), options.port) : undefined
  return {
    api: http?.url,
    app,
    async stop() {
      await http?.close()
      await app.stop()
      await database.close()
    },
  }
}
