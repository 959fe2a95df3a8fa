import assert from 'node:assert/strict'
import { test } from 'node:test'
import { migratePayments, recordPayment, recordRefund, type PaymentTables } from '../src/payments.ts'
import { openTables, orderOf } from './tables.ts'

const charged = { status: 'succeeded', chargeId: 'ch-1' } as const
const declined = { status: 'declined', chargeId: 'ch-2', reason: 'no money' } as const

test('a charge is recorded and reported as a success', async () => {
  const context = await openTables<PaymentTables>(migratePayments)
  const event = await recordPayment(orderOf('o-1'), { ...context, result: charged })
  assert.partialDeepStrictEqual(event.data, { orderId: 'o-1', paymentId: 'ch-1', amount: 129, status: 'success' })
  const row = await context.db.selectFrom('payments_payment').selectAll().executeTakeFirstOrThrow()
  assert.partialDeepStrictEqual(row, { order_id: 'o-1', amount_minor: 12900, status: 'success' })
})

test('a declined card is a business answer: a failed payment with its reason', async () => {
  const context = await openTables<PaymentTables>(migratePayments)
  const event = await recordPayment(orderOf('o-1'), { ...context, result: declined })
  assert.partialDeepStrictEqual(event.data, { status: 'failed', reason: 'no money' })
})

test('a refund gives back exactly what was charged, and says so', async () => {
  const context = await openTables<PaymentTables>(migratePayments)
  const event = await recordRefund(orderOf('o-1'), { ...context, done: charged, result: { refundId: 're-1' } })
  assert.partialDeepStrictEqual(event?.data, { orderId: 'o-1', paymentId: 'ch-1', refundId: 're-1', amount: 129 })
})

test('undoing a declined payment gives nothing back', async () => {
  const context = await openTables<PaymentTables>(migratePayments)
  assert.equal(await recordRefund(orderOf('o-1'), { ...context, done: declined, result: null }), undefined)
  assert.deepEqual(await context.db.selectFrom('payments_refund').selectAll().execute(), [])
})
