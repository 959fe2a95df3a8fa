import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { catalogue } from '../src/catalogue.ts'
import { migrateInventory, release, reserve, type InventoryTables } from '../src/inventory.ts'
import { openTables, orderOf } from './tables.ts'

const open = () => openTables<InventoryTables>(migrateInventory)
const line = (productId: string, quantity: number) => ({ productId, quantity, price: 1 })

async function available(context: Awaited<ReturnType<typeof open>>, productId: string): Promise<number> {
  const query = context.db.selectFrom('inventory_stock').select('available').where('product_id', '=', productId)
  return (await query.executeTakeFirstOrThrow()).available
}

test('reserving takes the stock and tells what was reserved', async () => {
  const context = await open()
  const event = await reserve(orderOf('o-1', [line('teapot', 5)]), context)
  assert.equal(event.type, 'inventory.updated')
  assert.partialDeepStrictEqual(event.data, { items: [{ productId: 'teapot', quantityReserved: 5 }] })
  assert.equal(await available(context, 'teapot'), 7)
})

test('two lines of one product are reserved together, or not at all', async () => {
  const context = await open()
  const event = await reserve(orderOf('o-1', [line('print', 2), line('print', 3)]), context)
  assert.equal(event.type, 'inventory.rejected')
  assert.equal(await available(context, 'print'), 4)
})

test('when one product is short nothing is taken', async () => {
  const context = await open()
  const event = await reserve(orderOf('o-1', [line('lamp', 1), line('print', 5), line('teapot', 1)]), context)
  assert.equal(event.type, 'inventory.rejected')
  assert.partialDeepStrictEqual(event.data, { productId: 'print', quantityWanted: 5 })
  for (const { productId, stock } of catalogue) assert.equal(await available(context, productId), stock)
})

test('releasing puts back what the order holds, once', async () => {
  const context = await open()
  await reserve(orderOf('o-1', [line('teapot', 5)]), context)
  await reserve(orderOf('o-2', [line('teapot', 2)]), context)
  await release(orderOf('o-1'), context)
  await release(orderOf('o-1'), context)
  assert.equal(await available(context, 'teapot'), 10)
})

test('whatever is ordered, the stock never goes below zero and nothing is lost', async () => {
  const orders = fc.array(
    fc.array(
      fc.record({ productId: fc.constantFrom('teapot', 'print', 'unknown'), quantity: fc.integer({ min: 1, max: 6 }) }),
      {
        minLength: 1,
        maxLength: 4,
      },
    ),
    { maxLength: 12 },
  )
  await fc.assert(
    fc.asyncProperty(orders, fc.infiniteStream(fc.boolean()), async (all, cancels) => {
      const context = await open()
      for (const [index, items] of all.entries()) {
        const order = orderOf(
          `o-${index}`,
          items.map(({ productId, quantity }) => line(productId, quantity)),
        )
        await reserve(order, context)
        if (cancels.next().value) await release(order, context)
      }
      const held = await context.db
        .selectFrom('inventory_reservation')
        .selectAll()
        .where('released_at', 'is', null)
        .execute()
      for (const { productId, stock } of catalogue) {
        const left = await available(context, productId)
        const taken = held.filter((each) => each.product_id === productId).reduce((sum, each) => sum + each.quantity, 0)
        assert.ok(left >= 0)
        assert.equal(left + taken, stock)
      }
    }),
    { numRuns: 60 },
  )
})
