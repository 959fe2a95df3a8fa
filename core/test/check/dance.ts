/** Declarations for the tests of the check: the order flow in all its parts, and what wrong and right variants are made of. */
import * as z from 'zod'
import { event, type AnyContract } from '../../src/contracts/index.ts'
import { choreography, service, type Choreography, type ChoreographyOptions } from '../../src/service/index.ts'
import { check, type CheckOptions, type Finding } from '../../src/check/index.ts'

const orderId = z.string()

/** An event of an order with nothing but its key. */
export const plain = (type: string) => event(type, { key: 'orderId', schema: z.object({ orderId }) })

export const OrderCreated = event('order.created', {
  key: 'orderId',
  schema: z.object({ orderId, customerId: z.string() }),
})
export const PaymentProcessed = event('payment.processed', {
  key: 'orderId',
  schema: z.discriminatedUnion('status', [
    z.object({ orderId, status: z.literal('success'), amount: z.number() }),
    z.object({ orderId, status: z.literal('failed'), reason: z.string() }),
  ]),
})
export const PaymentSucceeded = PaymentProcessed.where({ status: 'success' })
export const PaymentFailed = PaymentProcessed.where({ status: 'failed' })
export const PaymentRefunded = plain('payment.refunded')
export const InventoryUpdated = plain('inventory.updated')
export const InventoryRejected = plain('inventory.rejected')
export const InventoryReleased = plain('inventory.released')
export const OrderCompleted = plain('order.completed')
export const OrderCancelled = plain('order.cancelled')

/** A handler that is never run. */
export const run = () => {}

/** What a call stands for; its source takes the key. */
const asked = async (_: unknown, { idempotencyKey }: { idempotencyKey: string }) => ({ id: idempotencyKey })

export const parts = {
  orders: () =>
    service('orders')
      .all([PaymentSucceeded, InventoryUpdated], { name: 'complete', emits: [OrderCompleted] }, run)
      .on(PaymentFailed, { name: 'cancel unpaid', emits: [OrderCancelled] }, run)
      .on(InventoryRejected, { name: 'cancel short', emits: [OrderCancelled] }, run)
      .deadline(
        OrderCreated,
        { name: 'expire', unless: [OrderCompleted, OrderCancelled], within: '15m', emits: [OrderCancelled] },
        run,
      ),
  payments: () =>
    service('payments').on(
      OrderCreated,
      {
        name: 'charge',
        emits: [PaymentProcessed],
        callTimeout: '5s',
        call: asked,
        undo: { on: [OrderCancelled], emits: [PaymentRefunded], call: asked, run },
      },
      run,
    ),
  inventory: () =>
    service('inventory').on(
      OrderCreated,
      { name: 'reserve', emits: [InventoryUpdated, InventoryRejected], undo: { on: [OrderCancelled], run } },
      run,
    ),
  notifications: () => service('notifications').on(OrderCompleted, { name: 'confirm', call: asked }, run),
}

export const call = asked

type Parts = typeof parts
type Replaced = { readonly [K in keyof Parts]?: ReturnType<typeof service> | null }

/** The order flow, with some services replaced or left out, and others added. */
export function orderFlow(
  replaced: Replaced = {},
  { services = [], ...options }: Partial<ChoreographyOptions> = {},
): Choreography {
  const own = Object.entries(parts).map(([name, make]) => {
    const given = replaced[name as keyof Parts]
    return given === undefined ? make() : given
  })
  return choreography('checkout', {
    services: [...own.filter((each) => each !== null), ...services],
    starts: [OrderCreated],
    ends: { success: [OrderCompleted], failure: [OrderCancelled] },
    within: '15m',
    ...options,
  })
}

/** A choreography that starts with the first event and ends well with the last. */
export const flow = (
  services: ChoreographyOptions['services'],
  [start, success, ...failure]: readonly AnyContract[],
  options: Partial<ChoreographyOptions> = {},
): Choreography =>
  choreography('flow', { services, starts: [start!], ends: { success: [success!], failure }, ...options })

export const findingsOf = (declared: Choreography, options?: CheckOptions): readonly Finding[] =>
  check(declared, options).findings

/** The codes of what is found, each once, in order. */
export const codesOf = (declared: Choreography, options?: CheckOptions): string[] => [
  ...new Set(findingsOf(declared, options).map(({ code }) => code)),
]
