/** Every try asks the provider with a key of its own. */
import { kysely } from '@quadrille/kysely'
import { OrderCancelled, OrderCreated, PaymentProcessed, PaymentRefunded } from '@quadrille/example-orders/contracts'
import { recordPayment, recordRefund, type PaymentTables } from '@quadrille/example-orders/payments'
import { randomUUID } from 'node:crypto'
import { service } from 'quadrille'
import { broken } from './broken.ts'

const patience = () => AbortSignal.timeout(5_000)

export default broken({
  name: 'charges-twice',
  wrong: 'The idempotency key is made anew for every try: when an answer is lost, the card is charged again.',
  check: ['S13'],
  simulate: 'an order that is charged twice',
  services: ({ gateway }) => ({
    payments: service('payments', { db: kysely<PaymentTables>(), callTimeout: '5s' }).on(
      OrderCreated,
      {
        name: 'charge',
        emits: [PaymentProcessed],
        call: ({ orderId, customerId, totalAmount }) =>
          gateway.charge({
            orderId,
            customerId,
            amount: totalAmount,
            idempotencyKey: randomUUID(),
            signal: patience(),
          }),
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
