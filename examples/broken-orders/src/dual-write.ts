/** The order is saved first, and published afterwards. */
import { OrderCreated } from '@quadrille/example-orders/contracts'
import { place } from '@quadrille/example-orders/orders'
import { broken, ordersOf } from './broken.ts'

export default broken({
  name: 'dual-write',
  wrong:
    'The order is saved in one transaction and published in another: a crash in between leaves it without its event.',
  check: [],
  simulate: 'an order that is saved, and neither completed nor cancelled',
  services: () => ({}),
  async place(app, order) {
    let created: Awaited<ReturnType<typeof place>>
    await app.transact(ordersOf(app), async (context) => {
      created = await place(order, context)
    })
    if (created) await app.publish(OrderCreated(created.data))
  },
})
