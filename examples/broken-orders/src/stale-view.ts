/** A view of the orders that takes events as they come. */
import { kysely } from '@quadrille/kysely'
import { OrderCancelled, OrderCompleted, OrderCreated } from '@quadrille/example-orders/contracts'
import { sql, type Kysely } from 'kysely'
import { service } from 'quadrille'
import { broken } from './broken.ts'

export interface ViewTables {
  view_order: { order_id: string; status: string }
}

const set = async (db: Kysely<ViewTables>, order_id: string, status: string): Promise<void> => {
  await db
    .insertInto('view_order')
    .values({ order_id, status })
    .onConflict((conflict) => conflict.column('order_id').doUpdateSet({ status }))
    .execute()
}

export default broken({
  name: 'stale-view',
  wrong: 'A view writes the status of whatever event comes last: an order that is created late is pending for ever.',
  check: [],
  simulate: 'an order that has ended, and is pending in the view',
  services: () => ({
    view: service('view', { db: kysely<ViewTables>() })
      .on(OrderCreated, ({ orderId }, { db }) => set(db, orderId, 'pending'))
      .on(OrderCompleted, ({ orderId }, { db }) => set(db, orderId, 'completed'))
      .on(OrderCancelled, ({ orderId }, { db }) => set(db, orderId, 'cancelled')),
  }),
  async migrate(db) {
    await sql`CREATE TABLE IF NOT EXISTS view_order (order_id TEXT PRIMARY KEY, status TEXT NOT NULL)`.execute(db)
  },
})
