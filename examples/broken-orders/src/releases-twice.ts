/** Two events release the stock, and neither looks whether the other has. */
import { kysely } from '@quadrille/kysely'
import {
  InventoryRejected,
  InventoryUpdated,
  OrderCancelled,
  OrderCreated,
  PaymentFailed,
} from '@quadrille/example-orders/contracts'
import { reserve, type InventoryTables } from '@quadrille/example-orders/inventory'
import type { Kysely } from 'kysely'
import { service } from 'quadrille'
import { broken } from './broken.ts'

interface Context {
  readonly db: Kysely<InventoryTables>
  readonly now: () => Date
}

async function release({ orderId }: { readonly orderId: string }, { db, now }: Context): Promise<void> {
  const reserved = await db
    .selectFrom('inventory_reservation')
    .select(['product_id', 'quantity'])
    .where('order_id', '=', orderId)
    .execute()
  for (const { product_id, quantity } of reserved) {
    await db
      .updateTable('inventory_stock')
      .set((eb) => ({ available: eb('available', '+', quantity) }))
      .where('product_id', '=', product_id)
      .execute()
  }
  await db
    .updateTable('inventory_reservation')
    .set({ released_at: now().toISOString() })
    .where('order_id', '=', orderId)
    .execute()
}

export default broken({
  name: 'releases-twice',
  wrong: 'The failed payment releases the stock, and the cancellation that follows releases it again.',
  check: ['S7'],
  simulate: 'more stock than there was',
  services: () => ({
    inventory: service('inventory', { db: kysely<InventoryTables>() })
      .on(OrderCreated, { name: 'reserve', emits: [InventoryUpdated, InventoryRejected] }, reserve)
      .on(PaymentFailed, { name: 'release unpaid' }, release)
      .on(OrderCancelled, { name: 'release cancelled' }, release),
  }),
})
