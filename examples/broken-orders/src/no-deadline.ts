/** Nothing watches the time. */
import { kysely } from '@quadrille/kysely'
import {
  InventoryRejected,
  InventoryUpdated,
  OrderCancelled,
  OrderCompleted,
  PaymentFailed,
  PaymentSucceeded,
} from '@quadrille/example-orders/contracts'
import { cancel, complete, type OrderTables } from '@quadrille/example-orders/orders'
import { service } from 'quadrille'
import { broken } from './broken.ts'

export default broken({
  name: 'no-deadline',
  wrong: 'There is no deadline: when a handler gives up, the order stays pending for ever.',
  check: ['S5'],
  simulate: 'an order that is neither completed nor cancelled',
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
      ),
  }),
})
