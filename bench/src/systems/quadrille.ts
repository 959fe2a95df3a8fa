/** Runs the order flow on Quadrille: one process, one SQLite file, default settings. */
import { existsSync } from 'node:fs'
import { start, type Hooks } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import { createOrderTables, orderSql, tallyOf } from '../order-tables.ts'
import { inBatches, oneByOne, OrderCreated } from './order-services.ts'
import type { OrderSystem, SystemOptions } from './system.ts'

/** How many transactions a service has made, and for how many events. */
interface Batches {
  count: number
  events: number
}

/** How the flow is to be run. */
export interface QuadrilleOptions extends SystemOptions {
  /** With handlers that take up to 100 events at once. */
  readonly batches: boolean
  /** Called for every handling of every service. */
  readonly handled?: () => void
}

/** Starts the flow. */
export async function startQuadrille(options: QuadrilleOptions): Promise<OrderSystem> {
  const { file, notified, handled } = options
  if (!existsSync(file)) createOrderTables(file)
  const { orders, others } = options.batches ? inBatches() : oneByOne()
  const batches = new Map<string, Batches>()
  const hooks: Hooks = {
    handled: ({ service, event }) => {
      handled?.()
      if (service === 'notifications') notified(event.key)
    },
    batch: ({ service, events }) => {
      const known = batches.get(service) ?? { count: 0, events: 0 }
      batches.set(service, { count: known.count + 1, events: known.events + events })
    },
  }
  const app = await start({ services: [orders, ...others], ledger: sqlite(file), hooks })
  return {
    async publish(order) {
      await app.transact(orders, ({ db }) => {
        db.prepare(orderSql.order).run(order.orderId, order.customerId, order.total, JSON.stringify(order))
        return OrderCreated(order)
      })
    },
    async stop() {
      const letters = await app.deadLetters.list({ limit: 1 })
      await app.stop()
      if (letters[0]) throw new Error(`quadrille: a dead letter: ${letters[0].code}: ${letters[0].message}`)
    },
    tally: (prefix) => tallyOf(file, prefix),
    facts: () => ({ batches: Object.fromEntries([...batches].map(([name, each]) => [name, { ...each }])) }),
  }
}
