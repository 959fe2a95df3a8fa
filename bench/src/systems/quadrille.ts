/** Runs the order flow on Quadrille, with default settings. */
import { existsSync } from 'node:fs'
import { start, type Hooks, type Ledger } from 'quadrille'
import { sqlite, type SqliteHandle } from 'quadrille/sqlite'
import { createOrderTables, orderSql, tallyOf } from '../order-tables.ts'
import type { Order } from '../order.ts'
import { OrderCreated } from './order-contracts.ts'
import { inBatches, oneByOne, type OrderServices } from './order-services.ts'
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

/** What differs from database to database. */
export interface FlowOn<Db> {
  readonly services: OrderServices<Db>
  readonly ledger: Ledger
  /** Writes the row of a new order. */
  readonly save: (db: Db, order: Order) => unknown
  readonly tally: OrderSystem['tally']
}

/** Starts the flow on a SQLite file, which is made when it is not there. */
export async function startQuadrille(options: QuadrilleOptions): Promise<OrderSystem> {
  const { database } = options
  if (!existsSync(database)) createOrderTables(database)
  return startFlow<SqliteHandle>(options, {
    services: options.batches ? inBatches() : oneByOne(),
    ledger: sqlite(database),
    save: (db, order) =>
      db.prepare(orderSql.order).run(order.orderId, order.customerId, order.total, JSON.stringify(order)),
    tally: (prefix) => tallyOf(database, prefix),
  })
}

/** Starts the flow on any database. */
export async function startFlow<Db>(options: QuadrilleOptions, flow: FlowOn<Db>): Promise<OrderSystem> {
  const { notified, handled } = options
  const { orders, others } = flow.services
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
  const app = await start({ services: [orders, ...others], ledger: flow.ledger, hooks })
  return {
    async publish(order) {
      await app.transact(orders, ({ db }) => {
        const saved = flow.save(db, order)
        return saved instanceof Promise ? saved.then(() => OrderCreated(order)) : OrderCreated(order)
      })
    },
    async stop() {
      const letters = await app.deadLetters.list({ limit: 1 })
      await app.stop()
      if (letters[0]) throw new Error(`quadrille: a dead letter: ${letters[0].code}: ${letters[0].message}`)
    },
    tally: flow.tally,
    facts: () => ({ batches: Object.fromEntries([...batches].map(([name, each]) => [name, { ...each }])) }),
  }
}
