/** The order choreography that the drawings are tested with: a join, a deadline, calls, undo and alternatives. */
import * as z from 'zod'
import { choreography, event, service } from 'quadrille'

const fields = { orderId: z.string() }
const plain = <Type extends string>(type: Type) => event(type, { key: 'orderId', schema: z.object(fields) })

export const OrderCreated = plain('order.created')
export const PaymentProcessed = event('payment.processed', {
  key: 'orderId',
  schema: z.object({ ...fields, status: z.enum(['success', 'failed']) }),
})
export const PaymentFailed = PaymentProcessed.where({ status: 'failed' })
export const PaymentSucceeded = PaymentProcessed.where({ status: 'success' })
export const PaymentRefunded = plain('payment.refunded')
export const InventoryUpdated = plain('inventory.updated')
export const InventoryRejected = plain('inventory.rejected')
export const OrderCompleted = plain('order.completed')
export const OrderCancelled = plain('order.cancelled')

const payments = service('payments').on(
  OrderCreated,
  {
    emits: [PaymentProcessed],
    call: () => ({ charged: true }),
    undo: {
      on: [InventoryRejected, OrderCancelled],
      emits: [PaymentRefunded],
      call: () => ({ refunded: true }),
      run: ({ orderId }) => PaymentRefunded({ orderId }),
    },
  },
  ({ orderId }) => PaymentProcessed({ orderId, status: 'success' }),
)

const inventory = service('inventory').on(
  OrderCreated,
  {
    emits: [InventoryUpdated, InventoryRejected],
    undo: { on: [PaymentFailed, OrderCancelled], run: () => {} },
  },
  ({ orderId }) => InventoryUpdated({ orderId }),
)

const orders = service('orders')
  .all([PaymentSucceeded, InventoryUpdated], { name: 'complete', emits: [OrderCompleted] }, ([{ orderId }]) =>
    OrderCompleted({ orderId }),
  )
  .on(PaymentFailed, { emits: [OrderCancelled] }, ({ orderId }) => OrderCancelled({ orderId }))
  .on(InventoryRejected, { emits: [OrderCancelled] }, ({ orderId }) => OrderCancelled({ orderId }))
  .deadline(
    OrderCreated,
    { unless: [OrderCompleted, OrderCancelled], within: '15m', emits: [OrderCancelled] },
    ({ orderId }) => OrderCancelled({ orderId }),
  )

const notifications = service('notifications')
  .on(OrderCompleted, () => {})
  .on(OrderCancelled, () => {})

export const checkout = choreography('checkout', {
  services: [orders, payments, inventory, notifications],
  starts: [OrderCreated],
  ends: { success: [OrderCompleted], failure: [OrderCancelled] },
  within: '15m',
})
