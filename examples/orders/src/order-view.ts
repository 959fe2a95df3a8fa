/** How one order is doing, told from its conversation: what the page shows, as plain data. */
import type { Flow } from 'quadrille'
import type { OrderRow } from './order-queries.ts'

export type PaymentStep = 'waiting' | 'retrying' | 'paid' | 'declined' | 'refunding' | 'refunded' | 'not charged'
export type StockStep =
  'waiting' | 'retrying' | 'reserved' | 'short' | 'releasing' | 'asked to release' | 'released' | 'not reserved'
export type MailStep = 'waiting' | 'retrying' | 'asked to send' | 'sent' | 'none'

export interface OrderSteps {
  readonly payment: PaymentStep
  readonly stock: StockStep
  readonly mail: MailStep
}

export interface OrderEvent {
  readonly id: string
  readonly type: string
  readonly service: string
  readonly at: string
  readonly data: unknown
}

/** What did not go right at once: a retry, a compensation, a dead letter. */
export interface OrderNote {
  readonly kind: string
  readonly service: string
  readonly at: string
  readonly text: string
}

export interface OrderView extends OrderRow {
  readonly steps: OrderSteps
  readonly events: readonly OrderEvent[]
  readonly notes: readonly OrderNote[]
  /** True when nothing more is to come: ended, and all that the end asks for is done. */
  readonly settled: boolean
}

export function orderView(order: OrderRow, flow: Flow): OrderView {
  const steps = stepsOf(order, flow)
  const ended = order.status !== 'pending' && steps.payment !== 'refunding'
  return {
    ...order,
    steps,
    events: flow.events.map(({ id, type, source, time, data }) => ({
      id,
      type,
      service: source,
      at: new Date(time).toISOString(),
      data: JSON.parse(data) as unknown,
    })),
    notes: flow.notes.map(({ kind, service, at, text }) => ({ kind, service, at: at.toISOString(), text })),
    settled: ended && flow.deliveries.every(({ status }) => status === 'handled' || status === 'dead'),
  }
}

function stepsOf(order: OrderRow, flow: Flow): OrderSteps {
  const happened = (type: string, pattern: object = {}) =>
    flow.events.some((event) => {
      if (event.type !== type) return false
      const data = JSON.parse(event.data) as Record<string, unknown>
      return Object.entries(pattern).every(([field, value]) => data[field] === value)
    })
  const handled = (service: string, role: string) =>
    flow.deliveries.some((each) => each.service === service && each.role === role && each.status === 'handled')
  // A service with a ledger of its own is told by events; how far it has got with them can not be seen from here.
  const elsewhere = (service: string) => !flow.deliveries.some((each) => each.service === service)
  const waiting = (service: string) => (flow.notes.some((note) => note.service === service) ? 'retrying' : 'waiting')
  const cancelled = order.status === 'cancelled'

  function payment(): PaymentStep {
    if (happened('payment.refunded')) return 'refunded'
    if (happened('payment.processed', { status: 'failed' })) return 'declined'
    if (happened('payment.processed', { status: 'success' })) return cancelled ? 'refunding' : 'paid'
    return cancelled && handled('payments', 'undo') ? 'not charged' : waiting('payments')
  }
  function stock(): StockStep {
    if (happened('inventory.rejected')) return 'short'
    const undone = cancelled && handled('inventory', 'undo')
    if (happened('inventory.updated')) {
      if (!cancelled) return 'reserved'
      return undone ? 'released' : elsewhere('inventory') ? 'asked to release' : 'releasing'
    }
    return undone ? 'not reserved' : waiting('inventory')
  }
  function mail(): MailStep {
    if (cancelled) return 'none'
    if (order.status === 'completed' && elsewhere('notifications')) return 'asked to send'
    return handled('notifications', 'run') ? 'sent' : waiting('notifications')
  }
  return { payment: payment(), stock: stock(), mail: mail() }
}
