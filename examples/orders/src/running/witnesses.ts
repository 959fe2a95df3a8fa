/** Asks the three witnesses what has happened: the database, the payment provider's books, and the mailboxes. */
import { systemEnv, type Ledger } from 'quadrille'
import { OrderCancelled, OrderCompleted } from '../contracts.ts'
import { openDatabase, type Readable } from '../database.ts'
import type { Facts, OrderFact } from '../invariants.ts'
import type { Mailbox } from '../mailbox/mailbox-server.ts'
import { orderQueries, type OrderCounts } from '../order-queries.ts'
import type { ProviderTotals } from '../payment-provider/provider-server.ts'
import type { ShopTables } from '../tables.ts'

export interface WitnessOptions {
  readonly database: string
  /** Of the inventory, where it has one of its own. */
  readonly inventory?: string | undefined
  /** The payment provider's address. */
  readonly provider: string
  readonly mailbox: Mailbox
}

export interface Witnesses {
  /** How many orders are in which state, quickly. */
  counts(): Promise<OrderCounts>
  /** All there is to know. */
  facts(accepted: readonly string[]): Promise<Facts>
  /** Calls that were made again, and recognised by their key. */
  repeats(): Promise<{ readonly repeatedCharges: number; readonly repeatedMails: number }>
  close(): Promise<void>
}

/** Reads only: nothing that is asked here can change a run. */
export async function callWitnesses(options: WitnessOptions): Promise<Witnesses> {
  const { provider, mailbox } = options
  const database = await openDatabase(options.database)
  const inventory = options.inventory === undefined ? database : await openDatabase(options.inventory)
  const { ledger, tables } = database
  await ledger.open(systemEnv)
  const queries = orderQueries(tables)
  const endings = followEndings(ledger)
  const following = setInterval(() => void endings().catch(() => {}), followEveryMs)
  const ask = async <T>(path: string) => (await (await fetch(new URL(path, provider))).json()) as T
  return {
    counts: () => queries.counts(),
    async facts(accepted) {
      const books = await ask<Pick<Facts, 'charges' | 'refunds'>>('/charges')
      return {
        accepted,
        ...books,
        ...(await readTables(tables, inventory.tables)),
        endings: await endings(),
        mails: mailbox.mails(),
      }
    },
    async repeats() {
      return { repeatedCharges: (await ask<ProviderTotals>('/totals')).repeats, repeatedMails: mailbox.repeats() }
    },
    async close() {
      clearInterval(following)
      await database.close()
      if (inventory !== database) await inventory.close()
      await ledger.close()
    },
  }
}

async function readTables(
  db: Readable<ShopTables>,
  inventory: Readable<ShopTables>,
): Promise<Pick<Facts, 'orders' | 'stock' | 'reservations'>> {
  const orders = await db
    .selectFrom('orders_order')
    .select(['order_id as orderId', 'status', 'total_minor as totalMinor', 'items'])
    .execute()
  const stock = await inventory
    .selectFrom('inventory_stock')
    .select(['product_id as productId', 'initial', 'available'])
    .execute()
  const reservations = await inventory
    .selectFrom('inventory_reservation')
    .select(['order_id as orderId', 'product_id as productId', 'quantity', 'released_at as released'])
    .execute()
  return {
    orders: orders.map((order) => ({ ...order, items: JSON.parse(order.items) as OrderFact['items'] })),
    stock,
    reservations: reservations.map(({ released, ...reservation }) => ({ ...reservation, held: released === null })),
  }
}

const followEveryMs = 1_000

/**
 * Every announcement of an end, from the log of events itself. It is followed as it grows, so that what retention
 * removes later was seen.
 */
function followEndings(ledger: Ledger): () => Promise<Facts['endings']> {
  const types = [OrderCompleted.type, OrderCancelled.type]
  const endings: { orderId: string; type: string }[] = []
  let after = 0
  let last: Promise<unknown> = Promise.resolve()
  async function readOn(): Promise<Facts['endings']> {
    for (let end = false; !end;) {
      const page = await ledger.read({ after, limit: 1_000, types })
      for (const event of page.events) endings.push({ orderId: event.key, type: event.type })
      after = page.upTo
      end = page.end
    }
    return [...endings]
  }
  return () => {
    const next = last.catch(() => {}).then(readOn)
    last = next
    return next
  }
}
