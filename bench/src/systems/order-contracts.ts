/** The events of the order flow. */
import { event } from 'quadrille'
import * as z from 'zod'

const lineSchema = z.object({ sku: z.string(), qty: z.int().positive(), price: z.number(), title: z.string() })

export const OrderCreated = event('order.created', {
  key: 'orderId',
  schema: z.object({
    orderId: z.string(),
    customerId: z.string(),
    currency: z.string().length(3),
    total: z.number().nonnegative(),
    lines: z.array(lineSchema),
    shipTo: z.string(),
    placedAt: z.string(),
  }),
})
export const PaymentProcessed = event('payment.processed', {
  key: 'orderId',
  schema: z.object({ orderId: z.string(), amount: z.number() }),
})
export const InventoryUpdated = event('inventory.updated', {
  key: 'orderId',
  schema: z.object({ orderId: z.string(), units: z.int() }),
})
export const OrderCompleted = event('order.completed', {
  key: 'orderId',
  schema: z.object({ orderId: z.string() }),
})

/** The name of the reaction that completes an order. */
export const joinReaction = 'completion'
