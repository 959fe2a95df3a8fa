/** One of several processes that run all services on one database and take a share of the orders. */
import { makeOrder } from './order.ts'
import { startQuadrillePostgres } from './systems/quadrille-postgres.ts'

/** What it is started with. */
export interface ScaleTask {
  readonly database: string
  readonly batches: boolean
}

/** What it is told: orders to place, or to end. */
export type ScaleOrder = { readonly prefix: string; readonly orders: number } | 'stop'

/** What it tells: how many customers it has notified in all. */
export interface ScaleNews {
  readonly notified: number
}

const inFlight = 256
const tellEveryMs = 20

const task = JSON.parse(process.argv[2]!) as ScaleTask
let notified = 0
const system = await startQuadrillePostgres({ ...task, notified: () => (notified += 1) })
const tell = (news: ScaleNews): void => void process.send!(news)
let told = -1
const telling = setInterval(() => {
  if (notified !== told) tell({ notified: (told = notified) })
}, tellEveryMs)

async function place(prefix: string, orders: number): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < orders) await system.publish(makeOrder(prefix, next++))
  }
  await Promise.all(Array.from({ length: Math.min(inFlight, orders) }, lane))
}

process.on('message', (order: ScaleOrder) => {
  if (order !== 'stop') return void place(order.prefix, order.orders)
  clearInterval(telling)
  void system.stop().then(() => process.disconnect())
})
