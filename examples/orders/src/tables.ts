/** The tables of all services. */
import { DatabaseSync } from 'node:sqlite'
import { migrateInventory } from './inventory.ts'
import { migrateNotifications } from './notifications.ts'
import { migrateOrders } from './orders.ts'
import { migratePayments } from './payments.ts'

/** Each service owns its tables, and no other service touches them. That they share a file here is nobody's business. */
export function migrate(file: string): void {
  const db = new DatabaseSync(file, { timeout: 10_000 })
  db.exec('PRAGMA journal_mode = WAL')
  for (const each of [migrateOrders, migratePayments, migrateInventory, migrateNotifications]) each(db)
  db.close()
}
