import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cancel, complete, migrateOrders, place, type OrderTables } from '../src/orders.ts'
import { openTables, orderOf, someTime } from './tables.ts'

const newOrder = { orderId: 'o-1', customerId: 'ada', items: [{ productId: 'lamp', quantity: 2, price: 64.5 }] }

test('placing saves the order and announces it with the total of its items', async () => {
  const context = await openTables<OrderTables>(migrateOrders)
  const event = await place(newOrder, context)
  assert.deepEqual(event?.data, orderOf('o-1'))
  const row = await context.db.selectFrom('orders_order').selectAll().executeTakeFirstOrThrow()
  assert.equal(row.status, 'pending')
  assert.equal(row.total_minor, 12900)
})

test('placing the same order again changes nothing and announces nothing', async () => {
  const context = await openTables<OrderTables>(migrateOrders)
  await place(newOrder, context)
  assert.equal(await place(newOrder, context), undefined)
})

test('completing tells who ordered and what it costs, from the order itself', async () => {
  const context = await openTables<OrderTables>(migrateOrders)
  await place(newOrder, context)
  const event = await complete('o-1', context)
  assert.equal(event?.type, 'order.completed')
  assert.deepEqual(event.data, { orderId: 'o-1', customerId: 'ada', totalAmount: 129, timestamp: someTime })
})

test('an order ends once: whoever comes later emits nothing', async () => {
  for (const [first, second] of [
    [complete, cancelIt],
    [cancelIt, complete],
    [cancelIt, cancelIt],
    [complete, complete],
  ] as const) {
    const context = await openTables<OrderTables>(migrateOrders)
    await place(newOrder, context)
    assert.ok(await first('o-1', context))
    const { status } = await context.db.selectFrom('orders_order').select('status').executeTakeFirstOrThrow()
    assert.equal(await second('o-1', context), undefined)
    const after = await context.db.selectFrom('orders_order').select('status').executeTakeFirstOrThrow()
    assert.equal(after.status, status)
  }
})

const cancelIt = (orderId: string, context: Parameters<typeof complete>[1]) => cancel(orderId, 'took too long', context)
