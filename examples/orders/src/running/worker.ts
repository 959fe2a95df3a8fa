/** A process's share of the shop: some or all of the services on the one SQLite file, and the API beside the orders. */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { start, type App, type Duration } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import { orderApi } from '../api.ts'
import { checkout, outside } from '../choreography.ts'
import { serveHttp } from '../http-server.ts'
import { orderQueries } from '../order-queries.ts'
import { migrate } from '../tables.ts'

export const serviceNames = ['orders', 'payments', 'inventory', 'notifications'] as const
export type ServiceName = (typeof serviceNames)[number]

export interface WorkerOptions {
  /** The folder with the database. */
  readonly data: string
  readonly services: readonly ServiceName[]
  /** Where the payment provider and the mail server are. */
  readonly provider: string
  readonly mailbox: string
  /** The port of the API, which runs where the order service runs; 0 for any free one. */
  readonly port: number
  /** How soon others take over what a dead process leaves behind. Default: the toolkit's. */
  readonly lease?: Duration
}

export interface Worker {
  /** The API's address; undefined when the order service runs elsewhere. */
  readonly api: string | undefined
  readonly app: App
  stop(): Promise<void>
}

export const databaseFile = (data: string): string => join(data, 'orders.db')

export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const file = databaseFile(options.data)
  migrate(file)
  const all = checkout(outside(options)).services
  const services = all.filter((service) => options.services.some((name) => name === service.name))
  const app = await start({ services, ledger: sqlite(file), lease: options.lease })
  if (!options.services.includes('orders')) return { api: undefined, app, stop: () => app.stop() }
  const reading = new DatabaseSync(file, { readOnly: true })
  const http = await serveHttp(orderApi(app, orderQueries(reading)), options.port)
  return {
    api: http.url,
    app,
    async stop() {
      await http.close()
      await app.stop()
      reading.close()
    },
  }
}
