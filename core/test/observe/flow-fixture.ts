/** Recorded conversations of the order choreography, written by hand. */
import type { EventRecord } from 'quadrille'
import type { Flow, FlowDelivery, FlowNote } from '../../src/runtime/flow.ts'
import { record, startMs } from './record-fixture.ts'

/** A delivery, as `service/reaction role status of eventId`; the role and the status may be left out: run, handled. */
export function delivery(eventId: string, name: string, rest: Partial<FlowDelivery> = {}): FlowDelivery {
  const [service = '', ...reaction] = name.split('/')
  return { service, reaction: reaction.join('/'), role: 'run', status: 'handled', eventId, ...rest }
}

/** A note, `at` in milliseconds since the beginning. */
export function note(
  fields: Omit<FlowNote, 'at' | 'text'> & { readonly at: number; readonly text?: string },
): FlowNote {
  return { text: '', ...fields, at: new Date(startMs + fields.at) }
}

const created: EventRecord = record({ id: 'e1', source: 'orders', position: 1 })
const started = [
  delivery('e1', 'orders/deadline of order.created', { role: 'start' }),
  delivery('e1', 'payments/order.created'),
  delivery('e1', 'inventory/order.created'),
]

/** Paid at the third try, after a call without an answer; completed. */
export const completed: Flow = {
  correlationId: 'e1',
  events: [
    created,
    record({
      id: 'e2',
      type: 'inventory.updated',
      source: 'inventory',
      reaction: 'order.created',
      causationId: 'e1',
      time: 3,
    }),
    record({
      id: 'e3',
      type: 'payment.processed',
      source: 'payments',
      reaction: 'order.created',
      causationId: 'e1',
      time: 940,
    }),
    record({ id: 'e4', type: 'order.completed', source: 'orders', reaction: 'complete', causationId: 'e3', time: 944 }),
  ],
  deliveries: [
    ...started,
    delivery('e2', 'orders/complete', { role: 'part' }),
    delivery('e3', 'orders/complete', { role: 'part' }),
    delivery('e4', 'orders/deadline of order.created', { role: 'unless' }),
    delivery('e4', 'notifications/order.completed', { status: 'pending' }),
  ],
  notes: [
    note({ at: 50, kind: 'retry', service: 'payments', reaction: 'order.created', eventId: 'e1', text: 'HTTP 500' }),
    note({ at: 350, kind: 'unknown-call', service: 'payments', reaction: 'order.created', eventId: 'e1' }),
    note({
      at: 351,
      kind: 'retry',
      service: 'payments',
      reaction: 'order.created',
      eventId: 'e1',
      text: 'HTTP 503; busy',
    }),
  ],
}

/** The payment hangs until the deadline; the reservation is undone, the payment prevented, the mail is a dead letter. */
export const cancelled: Flow = {
  correlationId: 'e1',
  events: [
    { ...created, source: 'https://shop.example/api' },
    record({
      id: 'e2',
      type: 'inventory.updated',
      source: 'inventory',
      reaction: 'order.created',
      causationId: 'e1',
      time: 3,
    }),
    record({
      id: 'e3',
      type: 'order.cancelled',
      source: 'orders',
      reaction: 'deadline of order.created',
      causationId: 'e1',
      time: 900_004,
    }),
    record({
      id: 'e4',
      type: 'stock.released',
      source: 'inventory',
      reaction: 'order.created',
      causationId: 'e3',
      time: 900_006,
    }),
  ],
  deliveries: [
    ...started.map((each) => (each.service === 'payments' ? { ...each, status: 'waiting' as const } : each)),
    delivery('e2', 'orders/complete', { role: 'part' }),
    delivery('e3', 'payments/order.created', { role: 'undo' }),
    delivery('e3', 'inventory/order.created', { role: 'undo' }),
    delivery('e3', 'notifications/order.cancelled', { status: 'dead' }),
  ],
  notes: [
    ...[100, 300, 900].map((at) =>
      note({ at, kind: 'retry', service: 'payments', reaction: 'order.created', eventId: 'e1', text: 'no answer' }),
    ),
    note({ at: 900_004, kind: 'deadline', service: 'orders', reaction: 'deadline of order.created', eventId: 'e1' }),
    note({ at: 900_006, kind: 'undone', service: 'inventory', reaction: 'order.created', eventId: 'e3' }),
    note({ at: 900_005, kind: 'prevented', service: 'payments', reaction: 'order.created', eventId: 'e3' }),
    note({
      at: 900_009,
      kind: 'dead',
      service: 'notifications',
      reaction: 'order.cancelled',
      eventId: 'e3',
      text: 'MAILBOX_FULL: #1 "is" full',
    }),
    note({ at: 960_000, kind: 'redriven', service: 'notifications', reaction: 'order.cancelled', eventId: 'e3' }),
    note({
      at: 970_000,
      kind: 'discarded',
      service: 'notifications',
      reaction: 'order.cancelled',
      eventId: 'e3',
      text: 'told by phone',
    }),
  ],
}
