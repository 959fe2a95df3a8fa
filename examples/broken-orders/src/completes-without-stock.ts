/** The order is completed as soon as it is paid. */
import { kysely } from '@quadrille/kysely'
import {
  InventoryRejected,
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
  name: 'completes-without-stock',
  wrong: 'The order is completed when the payment has come, without looking at the stock.',
  check: ['S9'],
  simulate: 'a completed order without stock',
  services: () => ({
    orders: service('orders', { db: kysely<OrderTables>() })
      .on(PaymentSucceeded, { name: 'complete', emits: [OrderCompleted] }, ({ orderId }, context) =>
        complete(orderId, context),
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
