/** The inventory service. It reserves all that an order needs or nothing, and takes it back when the order is cancelled. */
import { kysely } from '@quadrille/kysely'
import { sql, type Kysely } from 'kysely'
import { service, type DataOf } from 'quadrille'
import { catalogue } from './catalogue.ts'
import { InventoryRejected, InventoryUpdated, OrderCancelled, OrderCreated } from './contracts.ts'

export interface InventoryTables {
  inventory_stock: { product_id: string; initial: number; available: number }
  inventory_reservation: { order_id: string; product_id: string; quantity: number; released_at: string | null }
}

/** No constraints that would hide a mistake: that no stock is sold twice is for invariants.ts to see. */
export async function migrateInventory(db: Kysely<InventoryTables>): Promise<void> {
  await sql`CREATE TABLE IF NOT EXISTS inventory_stock (
    product_id TEXT PRIMARY KEY, initial INTEGER NOT NULL, available INTEGER NOT NULL)`.execute(db)
  await sql`CREATE TABLE IF NOT EXISTS inventory_reservation (
    order_id TEXT NOT NULL, product_id TEXT NOT NULL, quantity INTEGER NOT NULL, released_at TEXT)`.execute(db)
  await sql`CREATE INDEX IF NOT EXISTS inventory_reservation_order ON inventory_reservation (order_id)`.execute(db)
  await db
    .insertInto('inventory_stock')
    .values(catalogue.map(({ productId, stock }) => ({ product_id: productId, initial: stock, available: stock })))
    .onConflict((conflict) => conflict.column('product_id').doNothing())
    .execute()
}

export const inventory = service('inventory', { db: kysely<InventoryTables>() }).on(
  OrderCreated,
  {
    name: 'reserve',
    emits: [InventoryUpdated, InventoryRejected],
    // Not on PaymentFailed: that one may overtake the reservation, and a completed order must keep its stock. The
    // order's own verdict comes once, and if it comes before the reservation, nothing is ever reserved.
    undo: { on: [OrderCancelled], run: release },
  },
  reserve,
)

type Order = DataOf<typeof OrderCreated>

interface Context {
  readonly db: Kysely<InventoryTables>
  readonly now: () => Date
}

export async function reserve({ orderId, items }: Order, { db, now }: Context) {
  const timestamp = now().toISOString()
  const wanted = unitsByProduct(items)
  for (const [index, { productId, quantity }] of wanted.entries()) {
    if (await take(db, productId, quantity)) continue
    // All or nothing. Nobody has seen what was taken so far: this transaction has not committed.
    for (const taken of wanted.slice(0, index)) await putBack(db, taken.productId, taken.quantity)
    return InventoryRejected({ orderId, productId, quantityWanted: quantity, timestamp })
  }
  await db
    .insertInto('inventory_reservation')
    .values(
      wanted.map(({ productId, quantity }) => ({
        order_id: orderId,
        product_id: productId,
        quantity,
        released_at: null,
      })),
    )
    .execute()
  const reserved = wanted.map(({ productId, quantity }) => ({ productId, quantityReserved: quantity }))
  return InventoryUpdated({ orderId, items: reserved, timestamp })
}

export async function release({ orderId }: Order, { db, now }: Context): Promise<void> {
  const released = await db
    .updateTable('inventory_reservation')
    .set({ released_at: now().toISOString() })
    .where('order_id', '=', orderId)
    .where('released_at', 'is', null)
    .returning(['product_id', 'quantity'])
    .execute()
  for (const { product_id, quantity } of released) await putBack(db, product_id, quantity)
}

/** Two lines of one product are one wish. Sorted, so that two orders never wait for each other crosswise. */
function unitsByProduct(items: Order['items']): { productId: string; quantity: number }[] {
  const units = new Map<string, number>()
  for (const { productId, quantity } of items) units.set(productId, (units.get(productId) ?? 0) + quantity)
  return [...units]
    .map(([productId, quantity]) => ({ productId, quantity }))
    .sort((a, b) => (a.productId < b.productId ? -1 : 1))
}

/** One conditional update: there is no gap between looking and taking, so the stock can not go below zero. */
async function take(db: Kysely<InventoryTables>, productId: string, quantity: number): Promise<boolean> {
  const taken = await db
    .updateTable('inventory_stock')
    .set((eb) => ({ available: eb('available', '-', quantity) }))
    .where('product_id', '=', productId)
    .where('available', '>=', quantity)
    .returning('product_id')
    .executeTakeFirst()
  return taken !== undefined
}

async function putBack(db: Kysely<InventoryTables>, productId: string, quantity: number): Promise<void> {
  await db
    .updateTable('inventory_stock')
    .set((eb) => ({ available: eb('available', '+', quantity) }))
    .where('product_id', '=', productId)
    .execute()
}
