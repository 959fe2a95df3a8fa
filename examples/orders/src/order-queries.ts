/** Reading the order service's own table, beside its reactions. */
import type { Item } from './contracts.ts'
import type { Readable } from './database.ts'
import { fromMinor } from './money.ts'
import type { OrderTables } from './orders.ts'

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
  find(orderId: string): Promise<OrderRow | undefined>
  /** The newest orders, newest first. */
  recent(limit: number): Promise<readonly OrderRow[]>
  counts(): Promise<OrderCounts>
}

export function orderQueries(db: Readable<OrderTables>): OrderQueries {
  const orders = db.selectFrom('orders_order')
  return {
    async find(orderId) {
      const row = await orders.selectAll().where('order_id', '=', orderId).executeTakeFirst()
      return row && orderRow(row)
    },
    async recent(limit) {
      const rows = await orders.selectAll().orderBy('created_at', 'desc').orderBy('order_id').limit(limit).execute()
      return rows.map(orderRow)
    },
    async counts() {
      const rows = await orders
        .select(['status', (eb) => eb.fn.countAll().as('orders')])
        .groupBy('status')
        .execute()
      const counts = rows.map(({ status, orders }) => [status, Number(orders)])
      return { pending: 0, completed: 0, cancelled: 0, ...Object.fromEntries(counts) } as OrderCounts
    },
  }
}

const orderRow = (row: OrderTables['orders_order']): OrderRow => ({
  orderId: row.order_id,
  customerId: row.customer_id,
  items: JSON.parse(row.items) as Item[],
  totalAmount: fromMinor(row.total_minor),
  status: row.status,
  reason: row.reason,
  createdAt: row.created_at,
  endedAt: row.ended_at,
})
