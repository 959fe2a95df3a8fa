/** The API of design.md section 2 type-checks as wanted; each wrong use is an error. Checked by tsc; running it is cheap. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { expectTypeOf } from 'expect-type'
import * as z from 'zod'
import * as v from 'valibot'
import { type } from 'arktype'
import { event, service, choreography, type DataOf, type DbAdapter } from 'quadrille'

const OrderCreated = event('order.created', {
  key: 'orderId',
  schema: z.object({ orderId: z.string(), total: z.number(), note: z.string().default('') }),
})
const PaymentProcessed = event('payment.processed', {
  key: 'orderId',
  schema: z.object({ orderId: z.string(), status: z.enum(['success', 'failed']) }),
}).version(2, {
  schema: z.discriminatedUnion('status', [
    z.object({ orderId: z.string(), status: z.literal('success'), paymentId: z.string() }),
    z.object({ orderId: z.string(), status: z.literal('failed'), reason: z.string() }),
  ]),
  upcast: (v1) =>
    v1.status === 'success'
      ? { orderId: v1.orderId, status: 'success' as const, paymentId: '?' }
      : { orderId: v1.orderId, status: 'failed' as const, reason: '?' },
})
const PaymentFailed = PaymentProcessed.where({ status: 'failed' })
const PaymentSucceeded = PaymentProcessed.where({ status: 'success' })
const PaymentRefunded = event('payment.refunded', { key: 'orderId', schema: v.object({ orderId: v.string() }) })
const OrderCompleted = event('order.completed', { key: 'orderId', schema: type({ orderId: 'string' }) })
const InventoryUpdated = event('inventory.updated', {
  key: 'orderId',
  schema: z.object({ orderId: z.string(), units: z.number() }),
})

interface Db {
  insert(table: string): Promise<void>
}
const db: DbAdapter<Db> = { name: 'test', open: () => ({ insert: async () => {} }) }
type Charge = { ok: true; id: string } | { ok: false; why: string }
const charge = async (_order: { orderId: string; key: string }): Promise<Charge> => ({ ok: true, id: '1' })

test('the data of events has the types of their schemas, whatever the schema library', () => {
  expectTypeOf<DataOf<typeof OrderCreated>>().toEqualTypeOf<{ orderId: string; total: number; note: string }>()
  expectTypeOf<DataOf<typeof PaymentFailed>['reason']>().toEqualTypeOf<string>()
  expectTypeOf<DataOf<typeof PaymentFailed>['status']>().toEqualTypeOf<'failed'>()
  expectTypeOf<DataOf<typeof PaymentRefunded>>().toEqualTypeOf<{ orderId: string }>()
  expectTypeOf<DataOf<typeof OrderCompleted>>().toEqualTypeOf<{ orderId: string }>()
  assert.equal(OrderCreated({ orderId: 'a', total: 2 }).data.note, '')
  // @ts-expect-error the key must be a string field
  event('x', { key: 'total', schema: z.object({ orderId: z.string(), total: z.number() }) })
  // @ts-expect-error wrong payload
  assert.throws(() => OrderCreated({ orderId: 1, total: 2 }), { code: 'EVENT_INVALID' })
})

test('handlers are typed by trigger, call, undo and emits', () => {
  const payments = service('payments', { db })
    .on(
      OrderCreated,
      {
        emits: [PaymentProcessed],
        call: (order, { idempotencyKey }) => charge({ orderId: order.orderId, key: idempotencyKey }),
        undo: {
          on: [PaymentFailed],
          emits: [PaymentRefunded],
          call: async (_order, { done }) => ({ refundId: done.ok ? done.id : '' }),
          run: (order, { result, done }) => {
            expectTypeOf(result.refundId).toEqualTypeOf<string>()
            expectTypeOf(done).toEqualTypeOf<Charge>()
            return PaymentRefunded({ orderId: order.orderId })
          },
        },
      },
      async (order, { result, db }) => {
        expectTypeOf(order.note).toEqualTypeOf<string>()
        await db.insert('payments')
        return result.ok
          ? PaymentProcessed({ orderId: order.orderId, status: 'success', paymentId: result.id })
          : PaymentProcessed({ orderId: order.orderId, status: 'failed', reason: result.why })
      },
    )
    .on(PaymentFailed, (failed) => {
      expectTypeOf(failed.reason).toEqualTypeOf<string>()
    })
    .on(OrderCreated, { name: 'totals', batch: { size: 10 } }, (orders, { events }) => {
      expectTypeOf(orders[0]!.total).toEqualTypeOf<number>()
      expectTypeOf(events[0]!.position).toEqualTypeOf<number>()
    })
    // @ts-expect-error an undeclared event may not be returned
    .on(OrderCreated, { name: 'wrong', emits: [PaymentProcessed] }, () => OrderCompleted({ orderId: 'x' }))
    // @ts-expect-error without emits, no event may be returned
    .on(OrderCreated, { name: 'wrong too' }, () => OrderCompleted({ orderId: 'x' }))
    // @ts-expect-error a pattern of a field that does not exist
    .on(PaymentProcessed.where({ state: 'failed' }), { name: 'third' }, () => {})

  const orders = service('orders')
    .all([PaymentSucceeded, InventoryUpdated], { emits: [OrderCompleted] }, ([payment, stock]) => {
      expectTypeOf(payment.paymentId).toEqualTypeOf<string>()
      expectTypeOf(stock.units).toEqualTypeOf<number>()
      return OrderCompleted({ orderId: payment.orderId })
    })
    .all(
      [PaymentSucceeded, InventoryUpdated],
      {
        name: 'watch',
        within: '15m',
        emits: [OrderCompleted],
        late: ([payment]) => {
          expectTypeOf(payment?.paymentId).toEqualTypeOf<string | undefined>()
        },
      },
      () => {},
    )
    .deadline(OrderCreated, { unless: [OrderCompleted], within: '15m', emits: [PaymentRefunded] }, (order) => {
      expectTypeOf(order.total).toEqualTypeOf<number>()
      return [PaymentRefunded({ orderId: order.orderId })]
    })
  const checkout = choreography('checkout', {
    services: [orders, payments],
    starts: [OrderCreated],
    ends: { success: [OrderCompleted] },
  })
  assert.deepEqual(
    checkout.describe().services.map((each) => each.reactions.length),
    [3, 6],
  )
})
