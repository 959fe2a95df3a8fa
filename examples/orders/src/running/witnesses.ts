/** Asks the three witnesses what has happened: the database, the payment provider's books, and the mailboxes. */
import { DatabaseSync } from 'node:sqlite'
import { systemEnv, type Ledger } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import { OrderCancelled, OrderCompleted } from '../contracts.ts'
import type { Facts, OrderFact, ReservationFact } from '../invariants.ts'
import type { Mailbox } from '../mailbox/mailbox-server.ts'
import { orderQueries, type OrderCounts } from '../order-queries.ts'
import type { ProviderTotals } from '../payment-provider/provider-server.ts'
import { databaseFile } from './worker.ts'

export interface WitnessOptions {
  /** The folder with the database. */
  readonly data: string
  /** The payment provider's address. */
  readonly provider: string
  readonly mailbox: Mailbox
}

export interface Witnesses {
  /** How many orders are in which state, quickly. */
  counts(): OrderCounts
  /** All there is to know. */
  facts(accepted: readonly string[]): Promise<Facts>
  /** Calls that were made again, and recognised by their key. */
  repeats(): Promise<{ readonly repeatedCharges: number; readonly repeatedMails: number }>
  close(): Promise<void>
}

/** Call when the services have made their tables. Reads only: nothing that is asked here can change a run. */
export async function callWitnesses({ data, provider, mailbox }: WitnessOptions): Promise<Witnesses> {
  const file = databaseFile(data)
  const db = new DatabaseSync(file, { readOnly: true })
  const queries = orderQueries(db)
  const ledger = sqlite(file)
  await ledger.open(systemEnv)
  const ask = async <T>(path: string) => (await (await fetch(new URL(path, provider))).json()) as T
  return {
    counts: () => queries.counts(),
    async facts(accepted) {
      const books = await ask<Pick<Facts, 'charges' | 'refunds'>>('/charges')
      return { accepted, ...books, ...readTables(db), endings: await readEndings(ledger), mails: mailbox.mails() }
    },
    async repeats() {
      return { repeatedCharges: (await ask<ProviderTotals>('/totals')).repeats, repeatedMails: mailbox.repeats() }
    },
    async close() {
      db.close()
      await ledger.close()
    },
  }
}

function readTables(db: DatabaseSync): Pick<Facts, 'orders' | 'stock' | 'reservations'> {
  const rows = <T>(sql: string) => db.prepare(sql).all() as T[]
  const orders = rows<Omit<OrderFact, 'items'> & { items: string }>(
    'SELECT order_id AS orderId, status, total_minor AS totalMinor, items FROM orders_order',
  )
  const reservations = rows<Omit<ReservationFact, 'held'> & { released: string | null }>(
    'SELECT order_id AS orderId, product_id AS productId, quantity, released_at AS released FROM inventory_reservation',
  )
  return {
    orders: orders.map((order) => ({ ...order, items: JSON.parse(order.items) as OrderFact['items'] })),
    stock: rows('SELECT product_id AS productId, initial, available FROM inventory_stock'),
    reservations: reservations.map(({ released, ...reservation }) => ({ ...reservation, held: released === null })),
  }
}

/** Every announcement of an end, from the log of events itself. */
async function readEndings(ledger: Ledger): Promise<Facts['endings']> {
  const endings: { orderId: string; type: string }[] = []
  const types = [OrderCompleted.type, OrderCancelled.type]
  for (let after = 0, end = false; !end;) {
    const page = await ledger.read({ after, limit: 1_000, types })
    for (const event of page.events) endings.push({ orderId: event.key, type: event.type })
    after = page.upTo
    end = page.end
  }
  return endings
}
