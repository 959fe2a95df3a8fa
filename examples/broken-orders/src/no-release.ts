/** Nobody puts the stock back. */
import { kysely } from '@quadrille/kysely'
import { InventoryRejected, InventoryUpdated, OrderCreated } from '@quadrille/example-orders/contracts'
import { reserve, type InventoryTables } from '@quadrille/example-orders/inventory'
import { service } from 'quadrille'
import { broken } from './broken.ts'

export default broken({
  name: 'no-release',
  wrong: 'The stock of a cancelled order is never released.',
  check: ['S6'],
  simulate: 'a cancelled order that still holds stock',
  services: () => ({
    inventory: service('inventory', { db: kysely<InventoryTables>() }).on(
      OrderCreated,
      { name: 'reserve', emits: [InventoryUpdated, InventoryRejected] },
      reserve,
    ),
  }),
})
