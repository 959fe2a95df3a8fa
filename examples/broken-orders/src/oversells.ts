/** The stock is read, looked at, and written back as a number: on PostgreSQL, two orders at once are given the same teapots. */
import { kysely } from '@quadrille/kysely'
import { InventoryRejected, InventoryUpdated, OrderCancelled, OrderCreated } from '@quadrille/example-orders/contracts'
import { release, type InventoryTables } from '@quadrille/example-orders/inventory'
import { service } from 'quadrille'
import { broken } from './broken.ts'

const inventory = service('inventory', { db: kysely<InventoryTables>() }).on(
  OrderCreated,
  { name: 'reserve', emits: [InventoryUpdated, InventoryRejected], undo: { on: [OrderCancelled], run: release } },
  async ({ orderId, items }, { db, now }) => {
    const timestamp = now().toISOString()
    for (const { productId, quantity } of items) {
      const stock = await db
        .selectFrom('inventory_stock')
        .select('available')
        .where('product_id', '=', productId)
        .executeTakeFirst()
      if (!stock || stock.available < quantity)
        return InventoryRejected({ orderId, productId, quantityWanted: quantity, timestamp })
      const row = { order_id: orderId, product_id: productId, quantity, released_at: null }
      await db.insertInto('inventory_reservation').values(row).execute()
      await db
        .updateTable('inventory_stock')
        .set({ available: stock.available - quantity })
        .where('product_id', '=', productId)
        .execute()
    }
    const reserved = items.map(({ productId, quantity }) => ({ productId, quantityReserved: quantity }))
    return InventoryUpdated({ orderId, items: reserved, timestamp })
  },
)

export default broken({
  name: 'oversells',
  wrong: 'The stock is read, computed and written back: where transactions overlap, it is sold twice.',
  check: [],
  simulate: 'two orders at once that are given the same stock',
  services: () => ({ inventory }),
})
