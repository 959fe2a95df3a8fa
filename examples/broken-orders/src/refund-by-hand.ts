/** The refund looks for the payment in its own rows. A charge that is answered late is never refunded. */
import { kysely } from '@quadrille/kysely'
import { OrderCancelled, OrderCreated, PaymentProcessed, PaymentRefunded } from '@quadrille/example-orders/contracts'
import { fromMinor, toMinor } from '@quadrille/example-orders/money'
import { recordPayment, type PaymentTables } from '@quadrille/example-orders/payments'
import { event, service } from 'quadrille'
import * as z from 'zod'
import { broken } from './broken.ts'

const RefundAsked = event('refund.asked', {
  key: 'orderId',
  schema: z.object({ orderId: z.string(), paymentId: z.string(), amount: z.number() }),
})

export default broken({
  name: 'refund-by-hand',
  wrong: 'A cancelled order is refunded if a payment is on record; a charge that is answered later is kept.',
  check: ['S8'],
  simulate: 'a cancelled order with money kept',
  services: ({ gateway }) => ({
    payments: service('payments', { db: kysely<PaymentTables>(), callTimeout: '5s' })
      .on(
        OrderCreated,
        {
          name: 'charge',
          emits: [PaymentProcessed],
          call: ({ orderId, customerId, totalAmount }, { idempotencyKey, signal }) =>
            gateway.charge({ orderId, customerId, amount: totalAmount, idempotencyKey, signal }),
        },
        recordPayment,
      )
      .on(OrderCancelled, { name: 'ask for a refund', emits: [RefundAsked] }, async ({ orderId }, { db }) => {
        const payment = await db
          .selectFrom('payments_payment')
          .select(['payment_id', 'amount_minor'])
          .where('order_id', '=', orderId)
          .where('status', '=', 'success')
          .executeTakeFirst()
        if (!payment) return
        return RefundAsked({ orderId, paymentId: payment.payment_id, amount: fromMinor(payment.amount_minor) })
      })
      .on(
        RefundAsked,
        {
          name: 'refund',
          emits: [PaymentRefunded],
          call: ({ paymentId, amount }, { idempotencyKey, signal }) =>
            gateway.refund({ chargeId: paymentId, amount, idempotencyKey, signal }),
        },
        async ({ orderId, paymentId, amount }, { db, now, result }) => {
          const timestamp = now().toISOString()
          const { refundId } = result
          const minor = toMinor(amount)
          await db
            .insertInto('payments_refund')
            .values({
              refund_id: refundId,
              payment_id: paymentId,
              order_id: orderId,
              amount_minor: minor,
              created_at: timestamp,
            })
            .execute()
          return PaymentRefunded({ orderId, paymentId, refundId, amount, timestamp })
        },
      ),
  }),
})
