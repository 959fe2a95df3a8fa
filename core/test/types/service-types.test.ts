/** The types of services: handlers follow what is declared, each wrong use is an error. Checked by tsc. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { expectTypeOf } from 'expect-type'
import * as z from 'zod'
import { event, service } from 'quadrille'
import type { AnyService, DbAdapter, Emitted, HandlerContext, ReactionPolicy, Returns, UndoContext } from 'quadrille'

const plain = <Type extends string>(type: Type) => event(type, { key: 'id', schema: z.object({ id: z.string() }) })
const Ordered = event('ordered', { key: 'id', schema: z.object({ id: z.string(), total: z.number() }) })
const [Paid, Refunded, Cancelled] = [plain('paid'), plain('refunded'), plain('cancelled')]
interface Db {
  run(sql: string): void
}
const db: DbAdapter<Db> = { name: 'test', open: () => ({ run: () => {} }) }
type Order = { id: string; total: number }
type Charge = { chargeId: string }
type Refund = { refundId: string } | null

test('handlers and calls can stand on their own, with only what they use in their types', () => {
  type Context<Result> = Pick<HandlerContext<Db, Result>, 'db' | 'result'>
  const charge = async (order: Order): Promise<Charge> => ({ chargeId: order.id })
  const refund = async (): Promise<Refund> => null
  const recordPayment = async (order: Order, { db, result }: Context<Charge>) => {
    db.run(result.chargeId)
    return Paid({ id: order.id })
  }
  const recordRefund = (order: Order, { result, done }: Context<Refund> & { readonly done: Charge }) =>
    result ? Refunded({ id: order.id + done.chargeId }) : undefined
  const recordAll = (_order: Order, context: UndoContext<Db, Refund, Charge>) => void context.done.chargeId
  const wantsDone = (_order: Order, { done }: { done: Charge }) => void done
  const undone = { on: [Cancelled] }
  service('payments', { db })
    .on(Ordered, { name: '1', emits: [Paid], call: charge }, recordPayment)
    .on(
      Ordered,
      {
        name: '2',
        emits: [Paid],
        call: charge,
        undo: { ...undone, emits: [Refunded], call: refund, run: recordRefund },
      },
      recordPayment,
    )
    .on(
      Ordered,
      { name: '3', emits: [Paid], call: (order) => charge(order), undo: { ...undone, call: refund, run: recordAll } },
      recordPayment,
    )
    .on(
      Ordered,
      {
        name: '4',
        emits: [Paid],
        call: (order) => charge(order),
        undo: {
          ...undone,
          emits: [Refunded],
          call: (_, { done }) => (done.chargeId ? refund() : null),
          run: recordRefund,
        },
      },
      recordPayment,
    )
    // @ts-expect-error the handler wants another result than the call gives
    .on(Ordered, { name: '5', emits: [Paid], call: async () => ({ other: 1 }) }, recordPayment)
    // @ts-expect-error the handler wants a result, but nothing is called
    .on(Ordered, { name: '6', emits: [Paid] }, recordPayment)
    // @ts-expect-error the undo wants a result, but calls nothing
    .on(Ordered, { name: '6u', call: charge, undo: { ...undone, run: recordAll } }, () => {})
    // @ts-expect-error the undo wants what was done, but nothing was
    .on(Ordered, { name: '6v', undo: { ...undone, run: wantsDone } }, () => {})
    .on(Ordered, { name: '6w' }, (_: Order, { result }: Context<Charge | undefined>) => void result)
    .on(Ordered, { name: '6x' }, (_: Order, context: HandlerContext<Db>) => void context)
    // @ts-expect-error the handler is for the data of another event
    .on(Paid, { name: '7', emits: [Paid], call: async () => ({ chargeId: '' }) }, recordPayment)
  // @ts-expect-error the service has no db
  service('bare').on(Ordered, { name: '8', emits: [Paid], call: charge }, recordPayment)
})

test('the result of a call is what it gives, awaited or not, or undefined without a call', () => {
  service('s', { db })
    .on(
      Ordered,
      { name: '1', call: () => 5 },
      (_, { result }) => expectTypeOf(result).toEqualTypeOf<number>() && undefined,
    )
    .on(Ordered, { name: '2', call: async () => 'x' }, (_, { result }) => {
      expectTypeOf(result).toEqualTypeOf<string>()
    })
    .on(Ordered, { name: '3', call: (order) => (order.total > 1 ? Promise.resolve(1) : null) }, (_, { result }) => {
      expectTypeOf(result).toEqualTypeOf<number | null>()
    })
    .on(Ordered, (order, { result, db }) => {
      expectTypeOf(result).toEqualTypeOf<undefined>()
      expectTypeOf(db).toEqualTypeOf<Db>()
      expectTypeOf(order).toEqualTypeOf<Order>()
    })
})

test('what may be returned follows what is declared', () => {
  const on = [Cancelled]
  const run = () => {}
  expectTypeOf<Returns<readonly never[]>>().toEqualTypeOf<void | undefined | null | readonly never[]>()
  const paid = Paid({ id: '1' })
  expectTypeOf(paid).toExtend<Emitted<'paid', { id: string }>>()
  service('s')
    .on(Ordered, { name: '1', emits: [Paid, Refunded] }, ({ total }) =>
      total > 1 ? Paid({ id: '1' }) : [Refunded({ id: '1' }), Paid({ id: '1' })],
    )
    .on(Ordered, { name: '2', emits: [Paid] }, async ({ total }) => (total > 1 ? [] : null))
    .on(Ordered, { name: '3', emits: [plain('made.here')] }, () => {})
    // @ts-expect-error not declared, one of several
    .on(Ordered, { name: '4', emits: [Paid] }, () => [Paid({ id: '1' }), Refunded({ id: '1' })])
    // @ts-expect-error not declared, in a promise
    .on(Ordered, { name: '5', emits: [Paid] }, async () => Refunded({ id: '1' }))
    // @ts-expect-error not an event
    .on(Ordered, { name: '6', emits: [Paid] }, () => ({ type: 'paid' }))
    // @ts-expect-error the contract itself, not an event of it
    .on(Ordered, { name: '7', emits: [Paid] }, () => Paid)
    // @ts-expect-error what the undo may emit, the handler may not
    .on(Ordered, { name: '8', emits: [Paid], undo: { on, emits: [Refunded], run } }, () => Refunded({ id: '1' }))
    // @ts-expect-error what the handler may emit, the undo may not
    .on(Ordered, { name: '9', emits: [Paid], undo: { on, emits: [Refunded], run: () => Paid({ id: '1' }) } }, run)
    // @ts-expect-error a handler that returns nothing that is known
    .on(Ordered, () => 5)
  assert.throws(() => {
    // @ts-expect-error emits takes contracts, not patterns
    service('s').on(Ordered, { emits: [Paid.where({ id: '1' })] }, () => {})
  })
})

test('batches, joins and deadlines have the data of their events', () => {
  service('s')
    .on(Ordered, { batch: { size: 5 } }, (orders, { events, attempt }) => {
      expectTypeOf(orders).toEqualTypeOf<readonly Order[]>()
      expectTypeOf(events[0]!.key).toEqualTypeOf<string>()
      expectTypeOf(attempt).toEqualTypeOf<number>()
    })
    .on(Paid, { coalesce: { within: '1s' } }, (data) => expectTypeOf(data).toEqualTypeOf<{ id: string }>() && undefined)
    .all([Ordered, Paid, Refunded], {}, ([ordered, paid, refunded]) => {
      expectTypeOf(ordered).toEqualTypeOf<Order>()
      expectTypeOf(paid).toEqualTypeOf<{ id: string }>()
      expectTypeOf(refunded.id).toEqualTypeOf<string>()
    })
    .all(
      [Ordered, Paid],
      { name: 'late', within: '1m', emits: [Cancelled], late: ([ordered]) => Cancelled({ id: ordered?.id ?? '' }) },
      () => {},
    )
    .all([Ordered, Paid], { name: 'several', batch: { size: 5 } }, (complete, { events }) => {
      expectTypeOf(complete).toEqualTypeOf<readonly (readonly [Order, { id: string }])[]>()
      expectTypeOf(events[0]!.key).toEqualTypeOf<string>()
    })
    // @ts-expect-error only a batch has a context with events
    .all([Ordered, Paid], { name: 'one' }, (_, { events }) => void events)
    // @ts-expect-error there is no third part
    .all([Ordered, Paid], { name: 'third' }, (parts) => expectTypeOf(parts[2]) && undefined)
    // @ts-expect-error late may only return what is declared
    .all([Ordered, Paid], { name: 'undeclared', within: '1m', late: () => Cancelled({ id: '' }) }, () => {})
    // @ts-expect-error a part may be missing when it is late
    .all([Ordered, Paid], { name: 'missing', within: '1m', late: ([ordered]) => void ordered.id }, () => {})
    .deadline(Ordered, { unless: [Paid], within: '15m', emits: [Cancelled] }, ({ id }) => Cancelled({ id }))
    // @ts-expect-error a deadline returns only what is declared
    .deadline(Ordered, { name: 'other', unless: [Paid], within: '15m' }, ({ id }) => Cancelled({ id }))
    // @ts-expect-error only a single event has a context without events
    .on(Ordered, { name: 'single' }, (_, { events }) => void events)
  assert.throws(() => {
    // @ts-expect-error a deadline says what settles it
    service('s').deadline(Ordered, { within: '15m' }, () => {})
  })
  assert.throws(() => {
    // @ts-expect-error not a duration
    service('s').deadline(Ordered, { unless: [Paid], within: '15 minutes' }, () => {})
  })
})

test('policies are checked, and services of any db are services', () => {
  const services: AnyService[] = [service('a'), service('b', { db })]
  assert.equal(services.length, 2)
  const policy: ReactionPolicy = { retry: { attempts: 3 }, onDead: 'hold', errors: { Bad: 'dead' } }
  service('s', policy).on(
    Ordered,
    { ...policy, concurrency: 4, rate: { limit: 1, per: '1s' }, breaker: true },
    () => {},
  )
  assert.throws(() => {
    // @ts-expect-error a misspelt option
    service('s').on(Ordered, { retries: 3 }, () => {})
  })
  assert.throws(() => {
    // @ts-expect-error a value that does not exist
    service('s', { onDead: 'stop' })
  })
  assert.throws(() => {
    // @ts-expect-error a name that is no trigger
    service('s').on('ordered', () => {})
  })
})
