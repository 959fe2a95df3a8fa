/** A declined card is charged again, and again. */
import { kysely } from '@quadrille/kysely'
import {
  InventoryRejected,
  InventoryUpdated,
  OrderCancelled,
  OrderCompleted,
  OrderCreated,
  PaymentFailed,
  PaymentProcessed,
  PaymentRefunded,
  PaymentSucceeded,
} from '@quadrille/example-orders/contracts'
import { cancel, complete, type OrderTables } from '@quadrille/example-orders/orders'
import { recordPayment, recordRefund, type PaymentTables } from '@quadrille/example-orders/payments'
import { event, service } from 'quadrille'
import * as z from 'zod'
import { broken } from './broken.ts'

/** Carries what the payment service needs, so that it looks like the order itself. */
const PaymentAsked = event('payment.asked', {
  key: 'orderId',
  schema: z.object({
    orderId: z.string(),
    customerId: z.string(),
    items: z.array(z.object({ productId: z.string(), quantity: z.number(), price: z.number() })),
    totalAmount: z.number(),
    timestamp: z.string(),
  }),
})

export default broken({
  name: 'endless-retry',
  wrong: 'A declined payment is asked for again without a limit: it goes round until the hop limit stops it.',
  check: ['S16'],
  simulate: 'a conversation that does not end by itself',
  services: ({ gateway }) => ({
    orders: service('orders', { db: kysely<OrderTables>() })
      .on(OrderCreated, { name: 'ask for the payment', emits: [PaymentAsked] }, (order) => PaymentAsked(order))
      .on(
        PaymentFailed,
        { name: 'ask again', emits: [PaymentAsked] },
        async ({ orderId, amount, timestamp }, { db }) => {
          const order = await db
            .selectFrom('orders_order')
            .select(['customer_id', 'status'])
            .where('order_id', '=', orderId)
            .executeTakeFirst()
          if (order?.status !== 'pending') return
          return PaymentAsked({ orderId, customerId: order.customer_id, items: [], totalAmount: amount, timestamp })
        },
      )
      .all([PaymentSucceeded, InventoryUpdated], { name: 'complete', emits: [OrderCompleted] }, ([payment], context) =>
        complete(payment.orderId, context),
      )
      .on(InventoryRejected, { name: 'cancel short', emits: [OrderCancelled] }, ({ orderId }, context) =>
        cancel(orderId, 'out of stock', context),
      )
      .deadline(
        OrderCreated,
        { name: 'expire', unless: [OrderCompleted, OrderCancelled], within: '15m', emits: [OrderCancelled] },
        ({ orderId }, context) => cancel(orderId, 'took too long', context),
      ),
    payments: service('payments', { db: kysely<PaymentTables>(), callTimeout: '5s' }).on(
      PaymentAsked,
      {
        name: 'charge',
        emits: [PaymentProcessed],
        call: ({ orderId, customerId, totalAmount }, { idempotencyKey, signal }) =>
          gateway.charge({ orderId, customerId, amount: totalAmount, idempotencyKey, signal }),
        undo: {
          on: [OrderCancelled],
          emits: [PaymentRefunded],
          call: ({ totalAmount }, { done, idempotencyKey, signal }) =>
            done.status === 'succeeded'
              ? gateway.refund({ chargeId: done.chargeId, amount: totalAmount, idempotencyKey, signal })
              : null,
          run: recordRefund,
        },
      },
      recordPayment,
    ),
  }),
})
