/** The order expires before a slow provider has used up its own patience. */
import { kysely } from '@quadrille/kysely'
import {
  InventoryRejected,
  InventoryUpdated,
  OrderCancelled,
  OrderCompleted,
  OrderCreated,
  PaymentFailed,
  PaymentSucceeded,
} from '@quadrille/example-orders/contracts'
import { cancel, complete, type OrderTables } from '@quadrille/example-orders/orders'
import { service } from 'quadrille'
import { broken } from './broken.ts'

export default broken({
  name: 'hasty-deadline',
  wrong:
    'The order expires after three seconds, while one call to the provider may take five: slow orders are cancelled.',
  check: ['S23'],
  simulate: null,
  services: () => ({
    orders: service('orders', { db: kysely<OrderTables>() })
      .all([PaymentSucceeded, InventoryUpdated], { name: 'complete', emits: [OrderCompleted] }, ([payment], context) =>
        complete(payment.orderId, context),
      )
      .on(PaymentFailed, { name: 'cancel unpaid', emits: [OrderCancelled] }, ({ orderId }, context) =>
        cancel(orderId, 'payment declined', context),
      )
      .on(InventoryRejected, { name: 'cancel short', emits: [OrderCancelled] }, ({ orderId }, context) =>
        cancel(orderId, 'out of stock', context),
      )
      .deadline(
        OrderCreated,
        { name: 'expire', unless: [OrderCompleted, OrderCancelled], within: '3s', emits: [OrderCancelled] },
        ({ orderId }, context) => cancel(orderId, 'took too long', context),
      ),
  }),
})
