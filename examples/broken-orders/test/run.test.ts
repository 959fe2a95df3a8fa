/** Every variant really runs: on a good day, nobody notices. */
import type { ShopTables } from '@quadrille/example-orders/tables'
import { kysely } from '@quadrille/kysely'
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { sqlite } from 'quadrille/sqlite'
import { world } from 'quadrille/testing'
import { variants } from '../src/index.ts'

for (const variant of variants) {
  test(`${variant.name} takes an order`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'quadrille-broken-'))
    const file = join(folder, 'orders.db')
    const native = new DatabaseSync(file)
    await variant.migrate(kysely<ShopTables>().open({ kind: 'sqlite', native }))
    const mails: string[] = []
    const outside = {
      gateway: {
        charge: async ({ orderId }: { orderId: string }) =>
          ({ status: 'succeeded', chargeId: `ch-${orderId}` }) as const,
        refund: async ({ chargeId }: { chargeId: string }) => ({ refundId: `re-${chargeId}` }),
      },
      mailer: { send: async ({ orderId }: { orderId: string }) => void mails.push(orderId) },
    }
    const shop = await world(variant.choreography(outside).services, { ledger: sqlite(file), errors: 'keep' })
    t.after(async () => {
      await shop.stop()
      native.close()
      await rm(folder, { recursive: true })
    })
    const items = [{ productId: 'teapot', quantity: 1, price: 249 }]
    await variant.place(shop.app, { orderId: 'o-1', customerId: 'ada', items })
    await shop.settled()
    const row = native.prepare("SELECT status FROM orders_order WHERE order_id = 'o-1'").get()
    // The one that is wrong even on a good day.
    const bad = variant.name === 'empty-customer'
    assert.equal(row?.['status'], bad ? 'pending' : 'completed')
    assert.deepEqual(mails, bad ? [] : ['o-1'])
  })
}
