/** What the four services tell each other. This file is all that they share. */
import { event } from 'quadrille'
import * as z from 'zod'

/** At most two decimals; computed in minor units, see money.ts. */
const amount = z.number().nonnegative().max(1_000_000_000).multipleOf(0.01)
const id = z.string().min(1).max(100)
const units = z.int().positive().max(10_000)
const timestamp = z.iso.datetime()

const item = z.object({ productId: id, quantity: units, price: amount })

export type Item = z.infer<typeof item>

export const OrderCreated = event('order.created', {
  key: 'orderId',
  schema: z.object({
    orderId: id,
    customerId: id,
    items: z.array(item).min(1).max(50),
    totalAmount: amount,
    timestamp,
  }),
})

const payment = { orderId: id, paymentId: id, amount, timestamp }

/** The provider's answer, whatever it was. No answer is no event: 'failed' means that no money was taken, for sure. */
export const PaymentProcessed = event('payment.processed', {
  key: 'orderId',
  schema: z.discriminatedUnion('status', [
    z.object({ ...payment, status: z.literal('success') }),
    z.object({ ...payment, status: z.literal('failed'), reason: z.string() }),
  ]),
})
export const PaymentSucceeded = PaymentProcessed.where({ status: 'success' })
export const PaymentFailed = PaymentProcessed.where({ status: 'failed' })

export const PaymentRefunded = event('payment.refunded', {
  key: 'orderId',
  schema: z.object({ orderId: id, paymentId: id, refundId: id, amount, timestamp }),
})

export const InventoryUpdated = event('inventory.updated', {
  key: 'orderId',
  schema: z.object({
    orderId: id,
    items: z.array(z.object({ productId: id, quantityReserved: units })),
    timestamp,
  }),
})

/** Nothing was reserved: at least this product is short. */
export const InventoryRejected = event('inventory.rejected', {
  key: 'orderId',
  schema: z.object({ orderId: id, productId: id, quantityWanted: units, timestamp }),
})

export const OrderCompleted = event('order.completed', {
  key: 'orderId',
  schema: z.object({ orderId: id, customerId: id, totalAmount: amount, timestamp }),
})

export const cancelReasons = ['payment declined', 'out of stock', 'took too long'] as const

export const OrderCancelled = event('order.cancelled', {
  key: 'orderId',
  schema: z.object({ orderId: id, customerId: id, reason: z.enum(cancelReasons), timestamp }),
})
