/** The tables of all services. Each service owns its own, and no other touches them; that they share a database is nobody's business. */
import type { Kysely } from 'kysely'
import { migrateInventory, type InventoryTables } from './inventory.ts'
import { migrateNotifications, type NotificationTables } from './notifications.ts'
import { migrateOrders, type OrderTables } from './orders.ts'
import { migratePayments, type PaymentTables } from './payments.ts'

export type ShopTables = OrderTables & PaymentTables & InventoryTables & NotificationTables

/** Made last: when it is there, all are. */
export const newestTable: keyof ShopTables = 'notifications_mail'

/** The SQL is such as both SQLite and PostgreSQL understand. */
export async function migrate(db: Kysely<ShopTables>): Promise<void> {
  await migrateOrders(db)
  await migratePayments(db)
  await migrateInventory(db)
  await migrateNotifications(db)
}
