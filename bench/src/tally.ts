/** What a run must have left behind: every row of every step, exactly once. Speed with wrong results counts for nothing. */
import { makeOrder, unitsOf } from './order.ts'

/** What was found of the orders with one prefix. The sum of `times` is greater than the rows when a step was repeated. */
export interface Tally {
  readonly orders: number
  readonly completed: number
  readonly completions: number
  readonly payments: number
  readonly paymentTimes: number
  readonly amount: number
  readonly reservations: number
  readonly reservationTimes: number
  readonly units: number
  readonly notifications: number
  readonly notificationTimes: number
}

/** What there must be after the orders 0 to `count` - 1. */
export function expectedTally(count: number): Tally {
  let amount = 0
  let units = 0
  for (let number = 0; number < count; number++) {
    const order = makeOrder('', number)
    amount += order.total
    units += unitsOf(order)
  }
  const once = { orders: count, completed: count, completions: count, notifications: count, notificationTimes: count }
  const effects = { payments: count, paymentTimes: count, reservations: count, reservationTimes: count }
  return { ...once, ...effects, amount, units }
}

/** @throws Error that names every number that is wrong. */
export function checkTally(system: string, found: Tally, count: number): void {
  const expected = expectedTally(count)
  const wrong = (Object.keys(expected) as (keyof Tally)[])
    .filter((name) => found[name] !== expected[name])
    .map((name) => `${name} ${found[name]} instead of ${expected[name]}`)
  if (wrong.length > 0) throw new Error(`${system}: wrong results after ${count} orders: ${wrong.join(', ')}`)
}
