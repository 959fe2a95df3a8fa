/** The services' own tables in PostgreSQL: the same for Quadrille and for the hand-written outbox. */
import { runOn } from './postgres-server.ts'
import type { Tally } from './tally.ts'

/** `times` and `completions` count how often a step was done, so that a repeat shows. */
export const postgresTables = `
  CREATE TABLE IF NOT EXISTS orders (id text PRIMARY KEY, customer text NOT NULL, total int NOT NULL, body jsonb NOT NULL,
    paid boolean NOT NULL DEFAULT false, reserved boolean NOT NULL DEFAULT false, status text NOT NULL DEFAULT 'new',
    completions int NOT NULL DEFAULT 0);
  CREATE TABLE IF NOT EXISTS payments (order_id text PRIMARY KEY, amount int NOT NULL, times int NOT NULL DEFAULT 1);
  CREATE TABLE IF NOT EXISTS reservations (order_id text PRIMARY KEY, units int NOT NULL, times int NOT NULL DEFAULT 1);
  CREATE TABLE IF NOT EXISTS notifications (order_id text PRIMARY KEY, times int NOT NULL DEFAULT 1);`

const again = (table: string): string => `ON CONFLICT (order_id) DO UPDATE SET times = ${table}.times + 1`

/** What the steps write, one order at a time. */
export const postgresSql = {
  order: 'INSERT INTO orders (id, customer, total, body) VALUES ($1, $2, $3, $4)',
  pay: `INSERT INTO payments (order_id, amount) VALUES ($1, $2) ${again('payments')}`,
  reserve: `INSERT INTO reservations (order_id, units) VALUES ($1, $2) ${again('reservations')}`,
  complete: `UPDATE orders SET paid = true, reserved = true, status = 'completed', completions = completions + 1
    WHERE id = $1`,
  notify: `INSERT INTO notifications (order_id) VALUES ($1) ${again('notifications')}`,
} as const

/** The same for many orders at once. */
export const postgresBatchSql = {
  pay: `INSERT INTO payments (order_id, amount) SELECT * FROM unnest($1::text[], $2::int[]) ${again('payments')}`,
  reserve: `INSERT INTO reservations (order_id, units) SELECT * FROM unnest($1::text[], $2::int[])
    ${again('reservations')}`,
  complete: `UPDATE orders SET paid = true, reserved = true, status = 'completed', completions = completions + 1
    WHERE id = ANY($1::text[])`,
  notify: `INSERT INTO notifications (order_id) SELECT * FROM unnest($1::text[]) ${again('notifications')}`,
} as const

/** Reads what is there of the orders with a prefix, through a connection of its own. */
export async function postgresTallyOf(database: string, prefix: string): Promise<Tally> {
  const ours = (column: string): string => `WHERE ${column} LIKE '${prefix}-%'`
  const { rows } = await runOn(
    database,
    `SELECT * FROM
      (SELECT count(*)::int AS orders, (count(*) FILTER (WHERE status = 'completed'))::int AS completed,
        coalesce(sum(completions), 0)::int AS completions FROM orders ${ours('id')}) AS orders,
      (SELECT count(*)::int AS payments, coalesce(sum(times), 0)::int AS "paymentTimes",
        coalesce(sum(amount), 0)::int AS amount FROM payments ${ours('order_id')}) AS payments,
      (SELECT count(*)::int AS reservations, coalesce(sum(times), 0)::int AS "reservationTimes",
        coalesce(sum(units), 0)::int AS units FROM reservations ${ours('order_id')}) AS reservations,
      (SELECT count(*)::int AS notifications, coalesce(sum(times), 0)::int AS "notificationTimes"
        FROM notifications ${ours('order_id')}) AS notifications`,
  )
  return rows[0] as Tally
}
