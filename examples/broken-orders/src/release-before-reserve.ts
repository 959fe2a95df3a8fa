/** The stock is put back by a reaction to the failed payment, instead of an `undo` of the reservation. */
import { kysely } from '@quadrille/kysely'
import { InventoryRejected, InventoryUpdated, OrderCreated, PaymentFailed } from '@quadrille/example-orders/contracts'
import { reserve, type InventoryTables } from '@quadrille/example-orders/inventory'
import type { Kysely } from 'kysely'
import { service } from 'quadrille'
import { broken } from './broken.ts'

interface Context {
  readonly db: Kysely<InventoryTables>
  readonly now: () => Date
}

async function release(orderId: string, { db, now }: Context): Promise<void> {
  // When nothing is reserved yet, nothing is released here, and the reservation that comes afterwards stays.
  const released = await db
    .updateTable('inventory_reservation')
    .set({ released_at: now().toISOString() })
    .where('order_id', '=', orderId)
    .where('released_at', 'is', null)
    .returning(['product_id', 'quantity'])
    .execute()
  for (const { product_id, quantity } of released) {
    await db
      .updateTable('inventory_stock')
      .set((eb) => ({ available: eb('available', '+', quantity) }))
      .where('product_id', '=', product_id)
      .execute()
  }
}

export default broken({
  name: 'release-before-reserve',
  wrong: 'Stock is released by a reaction to the failed payment, which may come before the reservation.',
  check: ['S7'],
  simulate: 'a cancelled order that still holds stock',
  services: () => ({
    inventory: service('inventory', { db: kysely<InventoryTables>() })
      .on(OrderCreated, { name: 'reserve', emits: [InventoryUpdated, InventoryRejected] }, reserve)
      .on(PaymentFailed, { name: 'release' }, ({ orderId }, context) => release(orderId, context)),
  }),
})
