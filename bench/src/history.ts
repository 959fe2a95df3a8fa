/** Fills a ledger fast, through the Ledger interface: with history that everyone has handled, or with a backlog. */
import { partitionOf, systemEnv, type Ledger, type LedgerRecord, type NewEvent } from 'quadrille'
import { nodeSqlite, sqlite } from 'quadrille/sqlite'
import { makeOrder, unitsOf } from './order.ts'
import { orderSql } from './order-tables.ts'
import { joinReaction } from './systems/order-contracts.ts'
import { startQuadrille } from './systems/quadrille.ts'

/** What is to be put into a file. */
export interface FillTask {
  readonly file: string
  readonly kind: 'history' | 'backlog'
  readonly prefix: string
  /** The orders with these numbers; an order is four events of history, or one of backlog. */
  readonly from: number
  readonly to: number
}

const ordersPerTransaction = 1_000
const memoryMs = 30 * 24 * 3_600_000
const leaseMs = 3_600_000

/** What all events of the flow have in common. */
type EventPart = Pick<NewEvent, 'type' | 'source' | 'reaction' | 'hops'> & { readonly data: unknown }

/** The events of an order, as the services would have made them; of a backlog only the first. */
export function eventsOf(prefix: string, number: number, kind: FillTask['kind']): NewEvent[] {
  const order = makeOrder(prefix, number)
  const { orderId } = order
  const parts: readonly EventPart[] = [
    { type: 'order.created', source: 'orders', reaction: null, hops: 0, data: order },
    ...(kind === 'backlog' ? [] : reactionsTo(orderId, { amount: order.total, units: unitsOf(order) })),
  ]
  let first: string | null = null
  return parts.map(({ data, ...part }) => {
    const id = systemEnv.uuid()
    const causationId = first
    first ??= id
    const envelope = { id, version: 1, key: orderId, correlationId: first, causationId, time: systemEnv.now() }
    return { ...part, ...envelope, traceparent: null, tracestate: null, data: JSON.stringify(data), extensions: null }
  })
}

const reactionsTo = (orderId: string, { amount, units }: { amount: number; units: number }): readonly EventPart[] => {
  const reaction = 'order.created'
  return [
    { type: 'payment.processed', source: 'payments', reaction, hops: 1, data: { orderId, amount } },
    { type: 'inventory.updated', source: 'inventory', reaction, hops: 1, data: { orderId, units } },
    { type: 'order.completed', source: 'orders', reaction: joinReaction, hops: 2, data: { orderId } },
  ]
}

/** What the runtime keeps of a join that has fired. */
export const firedJoin = (orderId: string): LedgerRecord => ({
  scope: 'orders',
  kind: 'join',
  id: `${joinReaction}|${orderId}`,
  partition: partitionOf(orderId),
  lane: null,
  seq: 0,
  due: null,
  expires: systemEnv.now() + memoryMs,
  body: JSON.stringify({ state: 'fired', parts: [] }),
})

/** Fills. The services are registered first, so that a backlog is theirs to handle. */
export async function fill(task: FillTask): Promise<void> {
  const app = await startQuadrille({ database: task.file, notified() {}, batches: false })
  await app.stop()
  const ledger = sqlite(task.file, { synchronous: 'NORMAL' })
  await ledger.open(systemEnv)
  try {
    let head = 0
    for (let number = task.from; number < task.to; number += ordersPerTransaction)
      head = await append(ledger, task, { from: number, to: Math.min(task.to, number + ordersPerTransaction) })
    if (task.kind === 'history') await passed(ledger, head)
  } finally {
    await ledger.close()
  }
}

/** Appends the orders of one transaction; returns the position of the last event. */
async function append(ledger: Ledger, task: FillTask, part: { from: number; to: number }): Promise<number> {
  const events: NewEvent[] = []
  const joins: LedgerRecord[] = []
  for (let number = part.from; number < part.to; number++) {
    const made = eventsOf(task.prefix, number, task.kind)
    events.push(...made)
    if (task.kind === 'history') joins.push(firedJoin(made[0]!.key))
  }
  return ledger.transact(async (tx) => {
    if (task.kind === 'backlog') {
      const place = nodeSqlite().open(tx.handle).prepare(orderSql.order)
      for (let number = part.from; number < part.to; number++) {
        const { orderId, customerId, total, ...rest } = makeOrder(task.prefix, number)
        place.run(orderId, customerId, total, JSON.stringify({ orderId, customerId, total, ...rest }))
      }
    } else await tx.save(joins)
    const positions = await tx.append(events)
    return positions.at(-1)!
  })
}

/** Moves the checkpoints of all readers behind what was appended. */
export async function passed(ledger: Ledger, position: number): Promise<void> {
  const owner = systemEnv.uuid()
  for (const reader of await ledger.readers()) {
    const { leases } = await ledger.lease({ reader, owner, leaseMs })
    const epochs = new Map(leases.map((lease) => [lease.partition, lease.epoch]))
    await ledger.transact((tx) => tx.hold({ reader, owner, epochs, position }))
    await ledger.lease({ reader, owner, leaseMs, release: 'all' })
  }
}
