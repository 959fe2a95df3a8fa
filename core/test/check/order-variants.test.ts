/** The order flow, wrong in the ways teams write it, and right in others that look alike. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { service } from '../../src/service/index.ts'
import {
  call,
  codesOf,
  InventoryRejected,
  InventoryReleased,
  InventoryUpdated,
  OrderCancelled,
  OrderCompleted,
  OrderCreated,
  orderFlow,
  PaymentFailed,
  PaymentProcessed,
  PaymentRefunded,
  PaymentSucceeded,
  plain,
  run,
} from './dance.ts'

type Case = [name: string, declared: ReturnType<typeof orderFlow>, codes: string[]]

const complete = { name: 'complete', emits: [OrderCompleted] } as const
const cancel = { emits: [OrderCancelled] } as const
const expire = { unless: [OrderCompleted, OrderCancelled], within: '15m', emits: [OrderCancelled] } as const
const chargeOnly = { name: 'charge', emits: [PaymentProcessed], callTimeout: '5s', call } as const

const deciding = () =>
  service('orders')
    .on(PaymentFailed, { name: 'cancel unpaid', ...cancel }, run)
    .on(InventoryRejected, { name: 'cancel short', ...cancel }, run)

const joined = () => deciding().all([PaymentSucceeded, InventoryUpdated], complete, run)
const reserving = () =>
  service('inventory').on(OrderCreated, { name: 'reserve', emits: [InventoryUpdated, InventoryRejected] }, run)

const wrong: Case[] = [
  [
    'stock is released by a reaction of its own to the failed payment',
    orderFlow({ inventory: reserving().on(PaymentFailed, { name: 'release' }, run) }),
    ['S7'],
  ],
  [
    'the same without a name, and with an event that tells it',
    orderFlow({ inventory: reserving().on(OrderCancelled, { emits: [InventoryReleased] }, run) }),
    ['S7'],
  ],
  [
    'the order completes as soon as it is paid',
    orderFlow({ orders: deciding().on(PaymentSucceeded, complete, run).deadline(OrderCreated, expire, run) }),
    ['S9'],
  ],
  ['nothing ends an order whose handler gives up', orderFlow({ orders: joined() }), ['S5']],
  [
    'the deadline is settled by the payment, so that nothing watches the stock',
    orderFlow({ orders: joined().deadline(OrderCreated, { ...expire, unless: [PaymentProcessed] }, run) }),
    ['S5'],
  ],
  [
    'the deadline starts only with the payment',
    orderFlow({ orders: joined().deadline(PaymentSucceeded, expire, run) }),
    ['S5'],
  ],
  [
    'money is given back by a reaction of its own, which may come before the charge',
    orderFlow({
      payments: service('payments')
        .on(OrderCreated, chargeOnly, run)
        .on(OrderCancelled, { name: 'refund', emits: [PaymentRefunded], call }, run),
    }),
    ['S8'],
  ],
  [
    'money is given back only when the stock is short, not when the order expires',
    orderFlow({
      payments: service('payments').on(OrderCreated, { ...chargeOnly, undo: { on: [InventoryRejected], run } }, run),
    }),
    ['S6'],
  ],
  ['nobody gives the stock back', orderFlow({ inventory: reserving() }), ['S6']],
  [
    'nobody gives the money back',
    orderFlow({ payments: service('payments').on(OrderCreated, chargeOnly, run) }),
    ['S6'],
  ],
  [
    'the mail goes out when the payment is there',
    orderFlow({ notifications: service('notifications').on(PaymentSucceeded, { name: 'confirm', call }, run) }),
    ['S20'],
  ],
  [
    'the same without a name',
    orderFlow({ notifications: service('mails').on(PaymentSucceeded, { call }, run) }),
    ['S20'],
  ],
  [
    'a misspelt event: the join waits for ever',
    orderFlow({
      orders: deciding()
        .all([PaymentSucceeded, plain('inventory.updatd')], complete, run)
        .deadline(OrderCreated, expire, run),
    }),
    ['S1'],
  ],
  [
    'nobody reacts to the rejection, and there is no deadline',
    orderFlow({
      orders: service('orders')
        .on(PaymentFailed, { name: 'cancel unpaid', ...cancel }, run)
        .all([PaymentSucceeded, InventoryUpdated], complete, run),
    }),
    ['S4', 'S5'],
  ],
  [
    'nobody reacts to the failed payment, and there is no deadline',
    orderFlow({
      orders: service('orders')
        .on(InventoryRejected, { name: 'cancel short', ...cancel }, run)
        .all([PaymentSucceeded, InventoryUpdated], complete, run),
    }),
    ['S4', 'S5'],
  ],
  [
    'nobody reacts to the rejection, and the order waits for its deadline',
    orderFlow({
      orders: service('orders')
        .on(PaymentFailed, { name: 'cancel unpaid', ...cancel }, run)
        .all([PaymentSucceeded, InventoryUpdated], complete, run)
        .deadline(OrderCreated, expire, run),
    }),
    ['S2'],
  ],
  [
    'a cancelled order is placed again',
    orderFlow({}, { services: [service('again').on(OrderCancelled, { emits: [OrderCreated] }, run)] }),
    ['S16'],
  ],
  [
    'a payment is tried again and again',
    orderFlow({
      orders: service('orders')
        .on(PaymentFailed, { name: 'again', emits: [plain('payment.asked')] }, run)
        .on(InventoryRejected, { name: 'cancel short', ...cancel }, run)
        .all([PaymentSucceeded, InventoryUpdated], complete, run)
        .deadline(OrderCreated, expire, run),
      payments: service('payments')
        .on(OrderCreated, { ...chargeOnly, undo: { on: [OrderCancelled], run } }, run)
        .on(plain('payment.asked'), { ...chargeOnly, name: 'recharge', undo: { on: [OrderCancelled], run } }, run),
    }),
    ['S16'],
  ],
  [
    'the view speaks for the order service',
    orderFlow({}, { services: [service('view').on(InventoryRejected, { emits: [OrderCancelled] }, run)] }),
    ['S26'],
  ],
]

const right: Case[] = [
  ['the order flow', orderFlow(), []],
  [
    'undo on each of the events that lead to the cancellation, and on the cancellation',
    orderFlow({
      inventory: service('inventory').on(
        OrderCreated,
        {
          name: 'reserve',
          emits: [InventoryUpdated, InventoryRejected],
          undo: { on: [PaymentFailed, OrderCancelled], emits: [InventoryReleased], run },
        },
        run,
      ),
    }),
    [],
  ],
  [
    'a view of the orders that looks on',
    orderFlow(
      {},
      {
        services: [
          service('view')
            .on(OrderCreated, run)
            .on(PaymentProcessed, run)
            .on(OrderCompleted, run)
            .on(OrderCancelled, run),
        ],
      },
    ),
    [],
  ],
  [
    'mails that the order has come in, and that it is cancelled',
    orderFlow({
      notifications: service('notifications')
        .on(OrderCreated, { name: 'received', call }, run)
        .on(OrderCompleted, { name: 'confirm', call }, run)
        .on(OrderCancelled, { name: 'sorry', call }, run)
        .on(PaymentFailed, { name: 'tell of the declined card', call }, run),
    }),
    [],
  ],
  [
    'parcels after the end, for somebody else',
    orderFlow({}, { services: [service('shipping').on(OrderCompleted, { emits: [plain('parcel.packed')] }, run)] }),
    [],
  ],
  [
    'statistics in batches',
    orderFlow(
      {},
      {
        services: [
          service('statistics')
            .on(OrderCreated, { batch: { size: 100, within: '1s' } }, run)
            .on(PaymentProcessed, { coalesce: { within: '5s' } }, run),
        ],
      },
    ),
    [],
  ],
  [
    'a join that gives up by itself, beside the deadline',
    orderFlow({
      orders: deciding()
        .all(
          [PaymentSucceeded, InventoryUpdated],
          { name: 'complete', emits: [OrderCompleted, OrderCancelled], within: '10m', late: run },
          run,
        )
        .deadline(OrderCreated, expire, run),
    }),
    [],
  ],
  [
    'a join by hand: both parts are heard by the service that decides',
    orderFlow({
      orders: deciding()
        .on(PaymentSucceeded, { name: 'paid', emits: [OrderCompleted] }, run)
        .on(InventoryUpdated, { name: 'reserved', emits: [OrderCompleted] }, run)
        .deadline(OrderCreated, expire, run),
    }),
    [],
  ],
  [
    'the customer cancels, from outside',
    orderFlow(
      {
        orders: joined()
          .on(plain('cancellation.asked'), { name: 'cancel as asked', ...cancel }, run)
          .deadline(OrderCreated, expire, run),
      },
      { starts: [OrderCreated, plain('cancellation.asked')] },
    ),
    [],
  ],
]

for (const [name, declared, codes] of wrong) {
  test(`found: ${name}`, () => assert.deepEqual(codesOf(declared), codes))
}
for (const [name, declared, codes] of right) {
  test(`silent: ${name}`, () => assert.deepEqual(codesOf(declared), codes))
}
