/** The order is completed with what the payment knows, and the payment does not know the customer. */
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
  name: 'empty-customer',
  wrong: 'The order is completed with an empty customer id, which the contract refuses: no order is ever completed.',
  check: [],
  simulate: 'an order that is cancelled although nothing has failed',
  services: () => ({
    orders: service('orders', { db: kysely<OrderTables>() })
      .all(
        [PaymentSucceeded, InventoryUpdated],
        { name: 'complete', emits: [OrderCompleted] },
        async ([payment], context) => {
          const done = await complete(payment.orderId, context)
          const timestamp = context.now().toISOString()
          return done && OrderCompleted({ ...payment, customerId: '', totalAmount: payment.amount, timestamp })
        },
      )
      .on(PaymentFailed, { name: 'cancel unpaid', emits: [OrderCancelled] }, ({ orderId }, context) =>
        cancel(orderId, 'payment declined', context),
      )
      .on(InventoryRejected, { name: 'cancel short', emits: [OrderCancelled] }, ({ orderId }, context) =>
        cancel(orderId, 'out of stock', context),
      )
      .deadline(
        OrderCreated,
        { name: 'expire', unless: [OrderCompleted, OrderCancelled], within: '15m', emits: [OrderCancelled] },
        ({ orderId }, context) => cancel(orderId, 'took too long', context),
      ),
  }),
})
