import assert from 'node:assert/strict'
import { test } from 'node:test'
import { catalogue } from '../src/catalogue.ts'
import { sampleOrders } from '../src/sample-orders.ts'

test('the same seed gives the same orders, another seed others', () => {
  assert.deepEqual(sampleOrders(7, 50), sampleOrders(7, 50))
  assert.notDeepEqual(sampleOrders(7, 50), sampleOrders(8, 50))
})

test('fewer orders are the first of more', () =>
  assert.deepEqual(sampleOrders(7, 10), sampleOrders(7, 50).slice(0, 10)))

test('ids are unique, products are never twice in an order, and the scarce ones run out in a run of usual length', () => {
  const orders = sampleOrders(1, 60)
  assert.equal(new Set(orders.map((order) => order.orderId)).size, 60)
  for (const { items } of orders) assert.equal(new Set(items.map((item) => item.productId)).size, items.length)
  const wanted = (productId: string) =>
    orders
      .flatMap((order) => order.items)
      .filter((item) => item.productId === productId)
      .reduce((sum, item) => sum + item.quantity, 0)
  const short = catalogue.filter((product) => wanted(product.productId) > product.stock)
  assert.ok(short.length > 0 && short.length <= 2)
})
