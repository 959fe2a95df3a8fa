/** The services' own tables in SQLite: the same for Quadrille and for the hand-written outbox. */
import { DatabaseSync } from 'node:sqlite'
import { scattered } from './order.ts'
import type { Tally } from './tally.ts'

/** `times` and `completions` count how often a step was done, so that a repeat shows. */
export const orderTables = `
  CREATE TABLE orders (id TEXT PRIMARY KEY, customer TEXT, total INT, body TEXT, paid INT DEFAULT 0,
    reserved INT DEFAULT 0, status TEXT DEFAULT 'new', completions INT DEFAULT 0) WITHOUT ROWID;
  CREATE TABLE payments (order_id TEXT PRIMARY KEY, amount INT, times INT DEFAULT 1) WITHOUT ROWID;
  CREATE TABLE reservations (order_id TEXT PRIMARY KEY, units INT, times INT DEFAULT 1) WITHOUT ROWID;
  CREATE TABLE notifications (order_id TEXT PRIMARY KEY, times INT DEFAULT 1) WITHOUT ROWID;`

/** What the steps write, whoever runs them. */
export const orderSql = {
  order: 'INSERT INTO orders (id, customer, total, body) VALUES (?, ?, ?, ?)',
  pay: `INSERT INTO payments (order_id, amount) VALUES (?, ?) ON CONFLICT (order_id) DO UPDATE SET times = times + 1`,
  reserve: `INSERT INTO reservations (order_id, units) VALUES (?, ?)
    ON CONFLICT (order_id) DO UPDATE SET times = times + 1`,
  complete: `UPDATE orders SET paid = 1, reserved = 1, status = 'completed', completions = completions + 1
    WHERE id = ?`,
  notify: 'INSERT INTO notifications (order_id) VALUES (?) ON CONFLICT (order_id) DO UPDATE SET times = times + 1',
} as const

/** Creates the tables in a new or existing file. */
export function createOrderTables(file: string): void {
  using db = new DatabaseSync(file)
  db.exec('PRAGMA journal_mode = WAL')
  db.exec(orderTables)
}

const tallySql = `SELECT
  (SELECT count(*) FROM orders WHERE id GLOB $like) AS orders,
  (SELECT count(*) FROM orders WHERE id GLOB $like AND status = 'completed') AS completed,
  (SELECT coalesce(sum(completions), 0) FROM orders WHERE id GLOB $like) AS completions,
  (SELECT count(*) FROM payments WHERE order_id GLOB $like) AS payments,
  (SELECT coalesce(sum(times), 0) FROM payments WHERE order_id GLOB $like) AS paymentTimes,
  (SELECT coalesce(sum(amount), 0) FROM payments WHERE order_id GLOB $like) AS amount,
  (SELECT count(*) FROM reservations WHERE order_id GLOB $like) AS reservations,
  (SELECT coalesce(sum(times), 0) FROM reservations WHERE order_id GLOB $like) AS reservationTimes,
  (SELECT coalesce(sum(units), 0) FROM reservations WHERE order_id GLOB $like) AS units,
  (SELECT count(*) FROM notifications WHERE order_id GLOB $like) AS notifications,
  (SELECT coalesce(sum(times), 0) FROM notifications WHERE order_id GLOB $like) AS notificationTimes`

/** Reads what is there of the orders with a prefix, through a connection of its own. */
export function tallyOf(file: string, prefix: string): Tally {
  using db = new DatabaseSync(file, { readOnly: true })
  return db
    .prepare(tallySql)
    .get({ $like: `${prefix.startsWith(scattered) ? '*' : ''}${prefix}-*` }) as unknown as Tally
}
