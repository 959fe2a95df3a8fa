/** The floor: an EventEmitter in the process, state in Maps, nothing durable. */
import { EventEmitter } from 'node:events'
import { unitsOf, type Order } from '../order.ts'
import type { Tally } from '../tally.ts'
import type { OrderSystem, SystemOptions } from './system.ts'

interface OrderState extends Order {
  paid: boolean
  reserved: boolean
  status: string
  completions: number
}

type Paid = { readonly orderId: string; readonly amount: number }
type Reserved = { readonly orderId: string; readonly units: number }
type Completed = { readonly orderId: string }
interface Events {
  created: [Order]
  paid: [Paid]
  reserved: [Reserved]
  completed: [Completed]
}

/** Starts the flow. */
export function startEmitter({ notified }: Pick<SystemOptions, 'notified'>): OrderSystem {
  const orders = new Map<string, OrderState>()
  const payments = new Map<string, number>()
  const reservations = new Map<string, number>()
  const notifications = new Map<string, number>()
  const bus = new EventEmitter<Events>()
  bus.on('created', (order) => {
    payments.set(order.orderId, order.total)
    bus.emit('paid', { orderId: order.orderId, amount: order.total })
  })
  bus.on('created', (order) => {
    const units = unitsOf(order)
    reservations.set(order.orderId, units)
    bus.emit('reserved', { orderId: order.orderId, units })
  })
  const join = (side: 'paid' | 'reserved', other: 'paid' | 'reserved') => (event: Completed) => {
    const order = orders.get(event.orderId)!
    order[side] = true
    if (!order[other]) return
    order.status = 'completed'
    order.completions += 1
    bus.emit('completed', { orderId: event.orderId })
  }
  bus.on('paid', join('paid', 'reserved'))
  bus.on('reserved', join('reserved', 'paid'))
  bus.on('completed', ({ orderId }) => {
    notifications.set(orderId, (notifications.get(orderId) ?? 0) + 1)
    notified(orderId)
  })
  return {
    async publish(order) {
      orders.set(order.orderId, { ...order, paid: false, reserved: false, status: 'new', completions: 0 })
      // What crosses a boundary elsewhere is copied here too.
      bus.emit('created', JSON.parse(JSON.stringify(order)) as Order)
    },
    async stop() {
      bus.removeAllListeners()
    },
    tally: (prefix) => tallyMaps(prefix, { orders, payments, reservations, notifications }),
  }
}

function tallyMaps(
  prefix: string,
  maps: Readonly<Record<'payments' | 'reservations' | 'notifications', ReadonlyMap<string, number>>> & {
    readonly orders: ReadonlyMap<string, OrderState>
  },
): Tally {
  const ours = <Value>(map: ReadonlyMap<string, Value>): Value[] =>
    [...map].filter(([id]) => id.startsWith(`${prefix}-`)).map(([, value]) => value)
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
  const orders = ours(maps.orders)
  const [payments, reservations, notifications] = [maps.payments, maps.reservations, maps.notifications].map(ours) as [
    number[],
    number[],
    number[],
  ]
  return {
    orders: orders.length,
    completed: orders.filter((order) => order.status === 'completed').length,
    completions: sum(orders.map((order) => order.completions)),
    payments: payments.length,
    paymentTimes: payments.length,
    amount: sum(payments),
    reservations: reservations.length,
    reservationTimes: reservations.length,
    units: sum(reservations),
    notifications: notifications.length,
    notificationTimes: sum(notifications),
  }
}
