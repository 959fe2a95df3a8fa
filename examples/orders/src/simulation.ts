/** How the order application is simulated: its tables, its two fakes, what customers order, and what must hold. */
import {
  mailBox,
  paymentProvider,
  type MailBox,
  type PaymentProvider,
  type SimulationOptions,
  type WorldView,
} from 'quadrille/simulate'
import { violations, type Facts } from './invariants.ts'
import { migrateInventory } from './inventory.ts'
import type { Mailer, OutgoingMail } from './mailbox/mailer.ts'
import { toMinor } from './money.ts'
import { migrateNotifications } from './notifications.ts'
import { migrateOrders, orders, place, type NewOrder } from './orders.ts'
import type { Gateway } from './payment-provider/gateway.ts'
import { migratePayments } from './payments.ts'

export interface Fakes {
  readonly gateway: Gateway & PaymentProvider
  readonly mailer: Mailer & MailBox
}

const teapots = (orderId: string, quantity: number): NewOrder => ({
  orderId,
  customerId: 'ada',
  items: [{ productId: 'teapot', quantity, price: 249 }],
})

/** All witnesses that examples/orders asks at the end of a real run, here: tables, the provider's books, the mail box. */
function factsOf(world: WorldView<NewOrder, Fakes>): Facts {
  const { conversations, outside } = world
  const rows = (service: string, sql: string) => world.db(service).all(sql) as never[]
  return {
    accepted: [],
    orders: rows(
      'orders',
      'SELECT order_id AS orderId, status, total_minor AS totalMinor, items FROM orders_order',
    ).map((row: { items: string }) => ({ ...row, items: JSON.parse(row.items) as never }) as never),
    stock: rows('inventory', 'SELECT product_id AS productId, initial, available FROM inventory_stock'),
    reservations: rows(
      'inventory',
      'SELECT order_id AS orderId, product_id AS productId, quantity, released_at IS NULL AS held FROM inventory_reservation',
    ).map((row: { held: number }) => ({ ...row, held: row.held === 1 }) as never),
    endings: conversations.flatMap(({ events }) =>
      events.flatMap(({ type, key }) => (/^order\.(completed|cancelled)$/.test(type) ? [{ orderId: key, type }] : [])),
    ),
    charges: outside.gateway.charges.map(({ chargeId, status, amount, request }) => ({
      chargeId, status, amountMinor: toMinor(amount), orderId: String(request['orderId']),
    })), // prettier-ignore
    refunds: outside.gateway.charges.flatMap(({ chargeId, refunded }) =>
      refunded > 0 ? [{ chargeId, amountMinor: toMinor(refunded) }] : [],
    ),
    mails: outside.mailer.mails as readonly OutgoingMail[],
  }
}

/** For `simulate(checkout, simulation)` and `npx quadrille simulate`. */
export const simulation: SimulationOptions<NewOrder, Fakes> = {
  outside: (sim) => ({ gateway: paymentProvider(sim) as Fakes['gateway'], mailer: mailBox(sim) as Fakes['mailer'] }),
  setup: {
    orders: migrateOrders,
    payments: migratePayments,
    inventory: migrateInventory,
    notifications: migrateNotifications,
  },
  // Twelve teapots are in stock: the second order can not have what it wants, the others not all at once.
  inputs: [teapots('o-1', 2), teapots('o-2', 13), teapots('o-3', 7), teapots('o-4', 5)],
  begin: (app, order) => app.transact(orders, (context) => place(order, context)),
  atEnd: { 'money, stock and mails agree': (world) => violations(factsOf(world)) },
}
