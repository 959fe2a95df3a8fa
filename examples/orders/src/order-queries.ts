/** Reading the order service's own table, beside its reactions: a plain read-only connection never waits for a writer. */
import type { DatabaseSync } from 'node:sqlite'
import type { Item } from './contracts.ts'
import { fromMinor } from './money.ts'

export type OrderStatus = 'pending' | 'completed' | 'cancelled'

export interface OrderRow {
  readonly orderId: string
  readonly customerId: string
  readonly items: readonly Item[]
  readonly totalAmount: number
  readonly status: OrderStatus
  /** Why it was cancelled. */
  readonly reason: string | null
  readonly createdAt: string
  readonly endedAt: string | null
}

export type OrderCounts = Readonly<Record<OrderStatus, number>>

export interface OrderQueries {
  find(orderId: string): OrderRow | undefined
  /** The newest orders, newest first. */
  recent(limit: number): readonly OrderRow[]
  counts(): OrderCounts
}

export function orderQueries(db: DatabaseSync): OrderQueries {
  const columns = 'order_id, customer_id, items, total_minor, status, reason, created_at, ended_at'
  const find = db.prepare(`SELECT ${columns} FROM orders_order WHERE order_id = ?`)
  const recent = db.prepare(`SELECT ${columns} FROM orders_order ORDER BY rowid DESC LIMIT ?`)
  const counts = db.prepare('SELECT status, count(*) AS orders FROM orders_order GROUP BY status')
  return {
    find(orderId) {
      const row = find.get(orderId)
      return row && orderRow(row)
    },
    recent: (limit) => recent.all(limit).map(orderRow),
    counts() {
      const rows = counts.all().map((row) => [String(row['status']), Number(row['orders'])])
      return { pending: 0, completed: 0, cancelled: 0, ...Object.fromEntries(rows) } as OrderCounts
    },
  }
}

function orderRow(row: Record<string, unknown>): OrderRow {
  return {
    orderId: String(row['order_id']),
    customerId: String(row['customer_id']),
    items: JSON.parse(String(row['items'])) as Item[],
    totalAmount: fromMinor(Number(row['total_minor'])),
    status: row['status'] as OrderStatus,
    reason: row['reason'] as string | null,
    createdAt: String(row['created_at']),
    endedAt: row['ended_at'] as string | null,
  }
}
