/** For tests of handlers: a service's own tables in memory, opened the way a reaction opens them. */
import { kysely } from '@quadrille/kysely'
import { DatabaseSync } from 'node:sqlite'
import type { Kysely } from 'kysely'
import type { CallContext } from 'quadrille'

export const someTime = '2026-01-02T03:04:05.000Z'

export async function openTables<Tables>(migrate: (db: Kysely<Tables>) => Promise<void>) {
  const db = kysely<Tables>().open({ kind: 'sqlite', native: new DatabaseSync(':memory:') })
  await migrate(db)
  return { db, now: () => new Date(someTime) }
}

/** What a call needs besides the data. */
export const calling = (idempotencyKey: string): Pick<CallContext, 'idempotencyKey' | 'signal'> => ({
  idempotencyKey,
  signal: new AbortController().signal,
})

export const orderOf = (orderId: string, items = [{ productId: 'lamp', quantity: 2, price: 64.5 }]) => ({
  orderId,
  customerId: 'ada',
  items,
  totalAmount: items.reduce((sum, { price, quantity }) => sum + price * quantity, 0),
  timestamp: someTime,
})
