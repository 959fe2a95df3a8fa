/** An answer that is lost is reported as a failed payment. */
import { kysely } from '@quadrille/kysely'
import { OrderCancelled, OrderCreated, PaymentProcessed } from '@quadrille/example-orders/contracts'
import type { Charged } from '@quadrille/example-orders/payment-provider/gateway'
import { recordPayment, type PaymentTables } from '@quadrille/example-orders/payments'
import { service } from 'quadrille'
import { broken } from './broken.ts'

export default broken({
  name: 'failed-from-catch',
  wrong: 'Any error of the provider becomes a failed payment, though the card may have been charged.',
  check: ['S14'],
  simulate: 'a cancelled order with money kept',
  services: ({ gateway }) => ({
    payments: service('payments', { db: kysely<PaymentTables>(), callTimeout: '5s' }).on(
      OrderCreated,
      {
        name: 'charge',
        emits: [PaymentProcessed],
        call: async ({ orderId, customerId, totalAmount }, { idempotencyKey, signal }): Promise<Charged> => {
          try {
            return await gateway.charge({ orderId, customerId, amount: totalAmount, idempotencyKey, signal })
          } catch {
            return { status: 'declined', chargeId: `none-${orderId}`, reason: 'the provider did not answer' }
          }
        },
        // It knows of no charge, so there is nothing to give back.
        undo: { on: [OrderCancelled], run: () => {} },
      },
      recordPayment,
    ),
  }),
})
