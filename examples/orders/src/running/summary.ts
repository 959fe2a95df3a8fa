/** What a run came to. */
import { countDuplicates, isPaid, lostOrders, sumMinor, unitsOf, violations, type Facts } from '../invariants.ts'
import { showMinor } from '../money.ts'

export interface Summary {
  readonly orders: number
  readonly completed: number
  readonly cancelled: number
  readonly chargedMinor: number
  readonly refundedMinor: number
  readonly completedTotalMinor: number
  /** Units held by reservations. */
  readonly stockHeld: number
  readonly mails: number
  /** Effects that happened more than once. */
  readonly duplicates: number
  /** Orders neither completed nor cancelled. */
  readonly lost: number
  readonly invariants: 'hold' | readonly string[]
  /** Calls to the outside that were made again, were recognised by their key, and had no second effect. */
  readonly repeatedCharges: number
  readonly repeatedMails: number
  readonly kills: number
  /** How many of them were the broker's. */
  readonly brokerKills: number
  readonly seed: number
}

export type RunFacts = Pick<Summary, 'repeatedCharges' | 'repeatedMails' | 'kills' | 'brokerKills' | 'seed'>

export function summarise(facts: Facts, run: RunFacts): Summary {
  const completed = facts.orders.filter((order) => order.status === 'completed')
  const broken = violations(facts)
  return {
    orders: new Set([...facts.accepted, ...facts.orders.map((order) => order.orderId)]).size,
    completed: completed.length,
    cancelled: facts.orders.filter((order) => order.status === 'cancelled').length,
    chargedMinor: sumMinor(facts.charges.filter(isPaid)),
    refundedMinor: sumMinor(facts.refunds),
    completedTotalMinor: completed.reduce((sum, order) => sum + order.totalMinor, 0),
    stockHeld: unitsOf(facts.reservations.filter((each) => each.held)),
    mails: facts.mails.length,
    duplicates: countDuplicates(facts),
    lost: lostOrders(facts).length,
    invariants: broken.length === 0 ? 'hold' : broken,
    ...run,
  }
}

/** More sentences than that nobody reads; all of them are in the JSON. */
const listedMax = 20

/** For people: not more than the first 20 of what does not hold. */
export function summaryText(summary: Summary): string {
  const { orders, completed, cancelled, chargedMinor, refundedMinor, completedTotalMinor, stockHeld, mails } = summary
  const lines = [
    `${orders} orders: ${completed} completed, ${cancelled} cancelled, ${summary.lost} lost`,
    `money: ${showMinor(chargedMinor)} charged − ${showMinor(refundedMinor)} refunded = ${showMinor(chargedMinor - refundedMinor)}; completed orders cost ${showMinor(completedTotalMinor)}`,
    `stock: ${stockHeld} units held; mails: ${mails}; double effects: ${summary.duplicates}`,
    `repeated calls that had no second effect: ${summary.repeatedCharges} to the payment provider, ${summary.repeatedMails} mails`,
  ]
  if (summary.kills > 0) lines.push(`killed ${summary.kills} times, the broker ${summary.brokerKills} times of it`)
  if (summary.invariants === 'hold') lines.push('all invariants hold')
  else lines.push('THESE INVARIANTS DO NOT HOLD:', ...listed(summary.invariants).map((line) => `  ${line}`))
  return lines.join('\n')
}

function listed(sentences: readonly string[]): readonly string[] {
  if (sentences.length <= listedMax) return sentences
  return [...sentences.slice(0, listedMax), `… and ${sentences.length - listedMax} more`]
}
