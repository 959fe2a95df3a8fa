/** How the wrong variants are simulated: as the order application is, with their own way to place an order and their own tables. */
import { kysely } from '@quadrille/kysely'
import type { ShopTables } from '@quadrille/example-orders/tables'
import { simulation, type Fakes } from '@quadrille/example-orders/simulation'
import type { NewOrder } from '@quadrille/example-orders/orders'
import type { App } from 'quadrille'
import type { SimulationOptions } from 'quadrille/simulate'
import type { Broken } from './broken.ts'

export function simulationOf(variant: Broken): SimulationOptions<NewOrder, Fakes> {
  return {
    ...simulation,
    setup: (_, { sqlite }) => variant.migrate(kysely<ShopTables>().open({ kind: 'sqlite', native: sqlite })),
    begin: (app, order) => variant.place(app as unknown as App, order),
    atEnd: {
      ...simulation.atEnd,
      // A view is no promise of the order application, so this one is of the variant that has one.
      ...(variant.name === 'stale-view' && {
        'the view shows how orders have ended': ({ conversations, db }) =>
          conversations.flatMap(({ outcome, input }) => {
            const shown = db('view').get('SELECT status FROM view_order WHERE order_id = ?', input.orderId)?.['status']
            return outcome !== 'none' && shown === 'pending'
              ? [`${input.orderId} has ended, and is pending in the view`]
              : []
          }),
      }),
    },
  }
}
