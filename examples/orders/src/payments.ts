/** The payment service. It charges for every order, and gives the money back when the order is cancelled. */
import { kysely } from '@quadrille/kysely'
import { sql, type Kysely } from 'kysely'
import { service, type DataOf } from 'quadrille'
import { OrderCancelled, OrderCreated, PaymentProcessed, PaymentRefunded } from './contracts.ts'
import { toMinor } from './money.ts'
import type { Charged, Gateway, Refunded } from './payment-provider/gateway.ts'

export interface PaymentTables {
  payments_payment: {
    payment_id: string
    order_id: string
    amount_minor: number
    status: 'success' | 'failed'
    created_at: string
  }
  payments_refund: { refund_id: string; payment_id: string; order_id: string; amount_minor: number; created_at: string }
}

/** No UNIQUE on order_id: that each order is paid once is the toolkit's promise, and invariants.ts looks whether it holds. */
export async function migratePayments(db: Kysely<PaymentTables>): Promise<void> {
  await sql`CREATE TABLE IF NOT EXISTS payments_payment (
    payment_id TEXT PRIMARY KEY, order_id TEXT NOT NULL, amount_minor INTEGER NOT NULL, status TEXT NOT NULL,
    created_at TEXT NOT NULL)`.execute(db)
  await sql`CREATE TABLE IF NOT EXISTS payments_refund (
    refund_id TEXT PRIMARY KEY, payment_id TEXT NOT NULL, order_id TEXT NOT NULL, amount_minor INTEGER NOT NULL,
    created_at TEXT NOT NULL)`.execute(db)
}

export const payments = (gateway: Gateway) =>
  service('payments', { db: kysely<PaymentTables>(), callTimeout: '5s' }).on(
    OrderCreated,
    {
      name: 'charge',
      emits: [PaymentProcessed],
      // Runs outside any transaction. When there is no answer, it is asked again with the same key, so that the card is
      // charged once; a failure is never reported as long as nobody knows.
      call: ({ orderId, customerId, totalAmount }, { idempotencyKey, signal }) =>
        gateway.charge({ orderId, customerId, amount: totalAmount, idempotencyKey, signal }),
      // Only the order's own verdict undoes a payment: a completed order keeps it, a cancelled one does not. If the
      // verdict comes before the charge, the card is never charged.
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
  )

type Order = DataOf<typeof OrderCreated>

interface Context<Result> {
  readonly db: Kysely<PaymentTables>
  readonly now: () => Date
  /** What the call brought. */
  readonly result: Result
}

interface UndoContext extends Context<Refunded | null> {
  /** What the call that is being undone had brought. */
  readonly done: Charged
}

export async function recordPayment(order: Order, { db, now, result }: Context<Charged>) {
  const { orderId, totalAmount: amount } = order
  const payment = { orderId, paymentId: result.chargeId, amount, timestamp: now().toISOString() }
  const status = result.status === 'succeeded' ? 'success' : 'failed'
  await db
    .insertInto('payments_payment')
    .values({
      payment_id: payment.paymentId,
      order_id: orderId,
      amount_minor: toMinor(amount),
      status,
      created_at: payment.timestamp,
    })
    .execute()
  return result.status === 'succeeded'
    ? PaymentProcessed({ ...payment, status: 'success' })
    : PaymentProcessed({ ...payment, status: 'failed', reason: result.reason })
}

export async function recordRefund(order: Order, { db, now, result, done }: UndoContext) {
  // The card was declined: there is nothing to give back.
  if (!result) return
  const { orderId, totalAmount: amount } = order
  const refund = {
    orderId,
    paymentId: done.chargeId,
    refundId: result.refundId,
    amount,
    timestamp: now().toISOString(),
  }
  await db
    .insertInto('payments_refund')
    .values({
      refund_id: refund.refundId,
      payment_id: refund.paymentId,
      order_id: orderId,
      amount_minor: toMinor(amount),
      created_at: refund.timestamp,
    })
    .execute()
  return PaymentRefunded(refund)
}
