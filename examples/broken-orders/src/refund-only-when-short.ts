/** The payment is undone when the stock is short, and not when the time is over. */
import { kysely } from '@quadrille/kysely'
import { InventoryRejected, OrderCreated, PaymentProcessed, PaymentRefunded } from '@quadrille/example-orders/contracts'
import { recordPayment, recordRefund, type PaymentTables } from '@quadrille/example-orders/payments'
import { service } from 'quadrille'
import { broken } from './broken.ts'

export default broken({
  name: 'refund-only-when-short',
  wrong: 'The money goes back when the stock is short, but not when the order is cancelled because it took too long.',
  check: ['S6'],
  simulate: 'a cancelled order with money kept',
  services: ({ gateway }) => ({
    payments: service('payments', { db: kysely<PaymentTables>(), callTimeout: '5s' }).on(
      OrderCreated,
      {
        name: 'charge',
        emits: [PaymentProcessed],
        call: ({ orderId, customerId, totalAmount }, { idempotencyKey, signal }) =>
          gateway.charge({ orderId, customerId, amount: totalAmount, idempotencyKey, signal }),
        undo: {
          on: [InventoryRejected],
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
