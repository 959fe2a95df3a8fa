/** The stock is counted in the process: what a rolled-back transaction took is gone, and a restart gives it all back. */
import { kysely } from '@quadrille/kysely'
import { catalogue } from '@quadrille/example-orders/catalogue'
import { InventoryRejected, InventoryUpdated, OrderCancelled, OrderCreated } from '@quadrille/example-orders/contracts'
import { release, type InventoryTables } from '@quadrille/example-orders/inventory'
import { service } from 'quadrille'
import { broken } from './broken.ts'

function inventoryOf() {
  const available = new Map(catalogue.map(({ productId, stock }) => [productId, stock]))
  return service('inventory', { db: kysely<InventoryTables>() }).on(
    OrderCreated,
    { name: 'reserve', emits: [InventoryUpdated, InventoryRejected], undo: { on: [OrderCancelled], run: release } },
    async ({ orderId, items }, { db, now }) => {
      const timestamp = now().toISOString()
      for (const { productId, quantity } of items) {
        const left = (available.get(productId) ?? 0) - quantity
        if (left < 0) return InventoryRejected({ orderId, productId, quantityWanted: quantity, timestamp })
        available.set(productId, left)
        const row = { order_id: orderId, product_id: productId, quantity, released_at: null }
        await db.insertInto('inventory_reservation').values(row).execute()
        await db.updateTable('inventory_stock').set({ available: left }).where('product_id', '=', productId).execute()
      }
      const reserved = items.map(({ productId, quantity }) => ({ productId, quantityReserved: quantity }))
      return InventoryUpdated({ orderId, items: reserved, timestamp })
    },
  )
}

export default broken({
  name: 'stock-in-memory',
  wrong:
    'The stock is counted in a variable: it does not roll back with the transaction, and it ends with the process.',
  check: [],
  simulate: 'stock that is gone, or sold twice',
  services: () => ({ inventory: inventoryOf() }),
})
