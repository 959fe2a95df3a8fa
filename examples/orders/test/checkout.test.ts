/** The whole dance, with every race that the naive version of this application loses. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { choreographyFlowchart } from 'quadrille/observe'
import { checkout, outside } from '../src/choreography.ts'
import { OrderCancelled, OrderCompleted, PaymentRefunded } from '../src/contracts.ts'
import { declined, noAnswer, paid, shopWorld } from './shop-world.ts'

const statusOf = "SELECT status FROM orders_order WHERE order_id = 'o-1'"
const teapots = "SELECT available FROM inventory_stock WHERE product_id = 'teapot'"

test('paid and reserved: completed, once, with one mail to who ordered', async (t) => {
  const shop = await shopWorld(t)
  await shop.order('o-1')
  await shop.world.settled()
  const [completed] = shop.world.saw(OrderCompleted)
  assert.partialDeepStrictEqual(completed, { orderId: 'o-1', customerId: 'ada', totalAmount: 498 })
  assert.equal(shop.value(statusOf), 'completed')
  assert.equal(shop.value(teapots), 10)
  assert.deepEqual(
    shop.mails.map((mail) => mail.to),
    ['ada@customers.example'],
  )
  await shop.world.advance('1h')
  shop.world.neverSaw(OrderCancelled)
})

test('declined: cancelled, the stock is put back, nothing is refunded and no mail goes out', async (t) => {
  const shop = await shopWorld(t, { charge: declined })
  await shop.order('o-1')
  await shop.world.settled()
  shop.world.saw(OrderCancelled, { reason: 'payment declined' })
  assert.equal(shop.value(teapots), 12)
  assert.deepEqual(shop.refunds, [])
  assert.deepEqual(shop.mails, [])
})

test('out of stock after the payment: cancelled, and the money goes back exactly once', async (t) => {
  const shop = await shopWorld(t)
  await shop.order('o-1', [{ productId: 'teapot', quantity: 13, price: 249 }])
  await shop.world.settled()
  shop.world.saw(OrderCancelled, { reason: 'out of stock' })
  assert.equal(shop.value(teapots), 12)
  assert.equal(shop.world.saw(PaymentRefunded).length, shop.charges.length)
  assert.equal(shop.refunds.length, shop.charges.length)
  await shop.world.advance('1h')
  assert.equal(shop.refunds.length, shop.charges.length)
})

test('declined and out of stock at once: one cancellation', async (t) => {
  const shop = await shopWorld(t, { charge: declined })
  await shop.order('o-1', [{ productId: 'teapot', quantity: 13, price: 249 }])
  await shop.world.settled()
  assert.equal(shop.world.saw(OrderCancelled).length, 1)
  assert.equal(shop.value(teapots), 12)
})

test('an answer that is lost is no failure: the same key asks again, and the order completes', async (t) => {
  const shop = await shopWorld(t, { charge: (attempt, orderId) => (attempt < 4 ? noAnswer() : paid(attempt, orderId)) })
  await shop.order('o-1')
  await shop.world.advance('5m')
  shop.world.saw(OrderCompleted)
  shop.world.neverSaw(OrderCancelled)
  assert.equal(shop.charges.length, 4)
  assert.equal(new Set(shop.charges).size, 1)
})

test('the provider is silent beyond the deadline: cancelled; once it answers, the money goes back', async (t) => {
  let silent = true
  const shop = await shopWorld(t, { charge: (attempt, orderId) => (silent ? noAnswer() : paid(attempt, orderId)) })
  await shop.order('o-1')
  await shop.world.advance('16m')
  shop.world.saw(OrderCancelled, { reason: 'took too long' })
  assert.equal(shop.value(teapots), 12)
  silent = false
  await shop.world.app.deadLetters.redrive({})
  await shop.world.advance('16m')
  // Whether the card was charged was unknown, so it was asked again with the same key, and then refunded.
  assert.equal(new Set(shop.charges).size, 1)
  assert.equal(shop.refunds.length, 1)
  assert.equal(shop.value(statusOf), 'cancelled')
  shop.world.neverSaw(OrderCompleted)
  assert.deepEqual(shop.mails, [])
})

test('a refund that gets no answer is asked for again with the same key', async (t) => {
  const refund = (attempt: number) => (attempt < 3 ? noAnswer() : Promise.resolve({ refundId: 're-1' }))
  const shop = await shopWorld(t, { refund })
  await shop.order('o-1', [{ productId: 'teapot', quantity: 13, price: 249 }])
  await shop.world.advance('5m')
  assert.equal(shop.world.saw(PaymentRefunded).length, 1)
  assert.equal(new Set(shop.refunds).size, 1)
})

test('orders that want the last pieces: as many complete as there are, and no more', async (t) => {
  const shop = await shopWorld(t)
  for (let i = 0; i < 10; i++) await shop.order(`o-${i}`)
  await shop.world.settled()
  assert.equal(shop.world.saw(OrderCompleted).length, 6)
  assert.equal(shop.world.saw(OrderCancelled, { reason: 'out of stock' }).length, 4)
  assert.equal(shop.value(teapots), 0)
  assert.equal(shop.mails.length, 6)
})

test('the choreography can be drawn without anyone being there', () => {
  const nowhere = 'http://127.0.0.1:9'
  const drawing = choreographyFlowchart(checkout(outside({ provider: nowhere, mailbox: nowhere })))
  for (const name of ['orders', 'payments', 'inventory', 'notifications', 'order.created'])
    assert.ok(drawing.includes(name))
})
