/**
 * What must hold at the end of any run, under any fault: every order is either completed (paid once, stock reserved
 * once, one mail) or cancelled (no money kept, no stock held); the stock never goes below zero; and the money charged
 * minus the money refunded is the total of the completed orders. Checked over three witnesses that know nothing of each
 * other: the database, the payment provider's books, and the mailboxes.
 */
import { showMinor } from './money.ts'

/** What the witnesses say. */
export interface Facts {
  /** The ids of the orders that were accepted with a 202. */
  readonly accepted: readonly string[]
  readonly orders: readonly OrderFact[]
  readonly stock: readonly { readonly productId: string; readonly initial: number; readonly available: number }[]
  readonly reservations: readonly ReservationFact[]
  /** How often each order's end was announced, as events. */
  readonly endings: readonly { readonly orderId: string; readonly type: string }[]
  readonly charges: readonly ChargeFact[]
  readonly refunds: readonly { readonly chargeId: string; readonly amountMinor: number }[]
  readonly mails: readonly { readonly orderId: string }[]
}

export interface OrderFact {
  readonly orderId: string
  readonly status: 'pending' | 'completed' | 'cancelled'
  readonly totalMinor: number
  readonly items: readonly { readonly productId: string; readonly quantity: number }[]
}

export interface ReservationFact {
  readonly orderId: string
  readonly productId: string
  readonly quantity: number
  readonly held: boolean
}

export interface ChargeFact {
  readonly chargeId: string
  readonly orderId: string
  readonly amountMinor: number
  readonly status: 'succeeded' | 'declined'
}

/** One sentence for each violation; an empty list when everything holds. */
export function violations(facts: Facts): string[] {
  const ofOrder = indexByOrder(facts)
  return [
    ...lostOrders(facts).map((id) => `order ${id} was accepted and is neither completed nor cancelled`),
    ...facts.orders.flatMap((order) =>
      (order.status === 'completed' ? completedWrong : cancelledWrong)(order, ofOrder(order.orderId)),
    ),
    ...strangers(facts),
    ...stockWrong(facts),
    ...moneyWrong(facts),
  ]
}

/** Accepted orders that have no end, or are not even there. */
export function lostOrders({ accepted, orders }: Facts): string[] {
  const ended = new Set(orders.filter((order) => order.status !== 'pending').map((order) => order.orderId))
  const known = new Set([...accepted, ...orders.map((order) => order.orderId)])
  return [...known].filter((id) => !ended.has(id))
}

/** Effects that happened more than once, of any kind: charges, refunds, reservations, endings and mails. */
export function countDuplicates(facts: Facts): number {
  return [
    facts.charges.filter(isPaid).map((charge) => charge.orderId),
    facts.refunds.map((refund) => refund.chargeId),
    facts.reservations.map(({ orderId, productId }) => `${orderId} ${productId}`),
    facts.endings.map((ending) => ending.orderId),
    facts.mails.map((mail) => mail.orderId),
  ].reduce((sum, effects) => sum + effects.length - new Set(effects).size, 0)
}

export const isPaid = (charge: ChargeFact): boolean => charge.status === 'succeeded'

export const sumMinor = (amounts: readonly { readonly amountMinor: number }[]): number =>
  amounts.reduce((sum, each) => sum + each.amountMinor, 0)

interface OfOrder {
  readonly charges: readonly ChargeFact[]
  readonly refundedMinor: number
  readonly held: readonly ReservationFact[]
  readonly endings: readonly string[]
  readonly mails: number
}

function completedWrong(order: OrderFact, { charges, refundedMinor, held, endings, mails }: OfOrder): string[] {
  const name = `completed order ${order.orderId}`
  const wrong: string[] = []
  if (charges.length !== 1) wrong.push(`${name} was charged ${charges.length} times`)
  if (sumMinor(charges) - refundedMinor !== order.totalMinor)
    wrong.push(
      `${name} costs ${showMinor(order.totalMinor)}, and ${showMinor(sumMinor(charges) - refundedMinor)} was kept`,
    )
  if (unitsText(held) !== unitsText(order.items))
    wrong.push(`${name} needs ${unitsText(order.items)}, and ${unitsText(held) || 'nothing'} is held`)
  if (endings.join() !== 'order.completed')
    wrong.push(`${name} announced its end as: ${endings.join(', ') || 'nothing'}`)
  if (mails !== 1) wrong.push(`${name} was confirmed by ${mails} mails`)
  return wrong
}

function cancelledWrong(order: OrderFact, { charges, refundedMinor, held, endings, mails }: OfOrder): string[] {
  if (order.status === 'pending') return []
  const name = `cancelled order ${order.orderId}`
  const wrong: string[] = []
  const kept = sumMinor(charges) - refundedMinor
  if (charges.length > 1) wrong.push(`${name} was charged ${charges.length} times`)
  if (kept > 0) wrong.push(`${name} has ${showMinor(kept)} kept`)
  if (kept < 0) wrong.push(`${name} was refunded ${showMinor(-kept)} more than was charged`)
  if (held.length > 0) wrong.push(`${name} holds ${unitsText(held)}`)
  if (endings.join() !== 'order.cancelled')
    wrong.push(`${name} announced its end as: ${endings.join(', ') || 'nothing'}`)
  if (mails > 0) wrong.push(`${name} was confirmed by ${mails} mails`)
  return wrong
}

/** Effects for orders that nobody placed. */
function strangers({ orders, charges, reservations, mails }: Facts): string[] {
  const known = new Set(orders.map((order) => order.orderId))
  const unknown = (what: string, effects: readonly { readonly orderId: string }[]) =>
    effects
      .filter(({ orderId }) => !known.has(orderId))
      .map(({ orderId }) => `${what} for order ${orderId}, which nobody placed`)
  return [...unknown('a charge', charges), ...unknown('a reservation', reservations), ...unknown('a mail', mails)]
}

function stockWrong({ stock, reservations }: Facts): string[] {
  return stock.flatMap(({ productId, initial, available }) => {
    const held = unitsOf(reservations.filter((each) => each.held && each.productId === productId))
    const wrong: string[] = []
    if (available < 0) wrong.push(`the stock of ${productId} is below zero: ${available}`)
    if (available + held !== initial)
      wrong.push(
        `of ${initial} ${productId}, ${available} are available and ${held} held: ${initial - available - held} are gone`,
      )
    return wrong
  })
}

function moneyWrong({ orders, charges, refunds }: Facts): string[] {
  const kept = sumMinor(charges.filter(isPaid)) - sumMinor(refunds)
  const earned = orders
    .filter((order) => order.status === 'completed')
    .reduce((sum, order) => sum + order.totalMinor, 0)
  return kept === earned
    ? []
    : [`${showMinor(kept)} was kept in all, and the completed orders cost ${showMinor(earned)}`]
}

export const unitsOf = (lines: readonly { readonly quantity: number }[]): number =>
  lines.reduce((sum, line) => sum + line.quantity, 0)

/** `1 lamp, 2 radio`: comparable as text. */
const unitsText = (lines: readonly { readonly productId: string; readonly quantity: number }[]): string =>
  lines
    .map(({ productId, quantity }) => `${quantity} ${productId}`)
    .sort()
    .join(', ')

function indexByOrder(facts: Facts): (orderId: string) => OfOrder {
  const charges = Map.groupBy(facts.charges.filter(isPaid), (charge) => charge.orderId)
  const refunds = Map.groupBy(facts.refunds, (refund) => refund.chargeId)
  const held = Map.groupBy(
    facts.reservations.filter((each) => each.held),
    (each) => each.orderId,
  )
  const endings = Map.groupBy(facts.endings, (ending) => ending.orderId)
  const mails = Map.groupBy(facts.mails, (mail) => mail.orderId)
  return (orderId) => ({
    charges: charges.get(orderId) ?? [],
    refundedMinor: sumMinor((charges.get(orderId) ?? []).flatMap((charge) => refunds.get(charge.chargeId) ?? [])),
    held: held.get(orderId) ?? [],
    endings: (endings.get(orderId) ?? []).map((ending) => ending.type),
    mails: (mails.get(orderId) ?? []).length,
  })
}
