import assert from 'node:assert/strict'
import { test } from 'node:test'
import { countDuplicates, lostOrders, violations, type Facts } from '../src/invariants.ts'

/** One completed order, one that was declined, and one that was charged, found short, and refunded. */
const good: Facts = {
  accepted: ['a', 'b', 'c'],
  orders: [
    { orderId: 'a', status: 'completed', totalMinor: 300, items: [{ productId: 'lamp', quantity: 3 }] },
    { orderId: 'b', status: 'cancelled', totalMinor: 100, items: [{ productId: 'lamp', quantity: 1 }] },
    { orderId: 'c', status: 'cancelled', totalMinor: 900, items: [{ productId: 'lamp', quantity: 9 }] },
  ],
  stock: [{ productId: 'lamp', initial: 5, available: 2 }],
  reservations: [
    { orderId: 'a', productId: 'lamp', quantity: 3, held: true },
    { orderId: 'b', productId: 'lamp', quantity: 1, held: false },
  ],
  endings: [
    { orderId: 'a', type: 'order.completed' },
    { orderId: 'b', type: 'order.cancelled' },
    { orderId: 'c', type: 'order.cancelled' },
  ],
  charges: [
    { chargeId: '1', orderId: 'a', amountMinor: 300, status: 'succeeded' },
    { chargeId: '2', orderId: 'b', amountMinor: 100, status: 'declined' },
    { chargeId: '3', orderId: 'c', amountMinor: 900, status: 'succeeded' },
  ],
  refunds: [{ chargeId: '3', amountMinor: 900 }],
  mails: [{ orderId: 'a' }],
}

test('a run that went right has no violation, no double effect and no lost order', () => {
  assert.deepEqual(violations(good), [])
  assert.equal(countDuplicates(good), 0)
  assert.deepEqual(lostOrders(good), [])
})

const [a, b, c] = good.orders as [Facts['orders'][number], Facts['orders'][number], Facts['orders'][number]]
const [heldByA, releasedByB] = good.reservations as [Facts['reservations'][number], Facts['reservations'][number]]
const [chargeA, chargeB, chargeC] = good.charges as [
  Facts['charges'][number],
  Facts['charges'][number],
  Facts['charges'][number],
]

/** What is planted, the sentence that must be found, and whether it is a double effect. */
const planted: Record<string, { facts: Partial<Facts>; finds: RegExp; duplicates?: number }> = {
  'an accepted order that is not there': {
    facts: { accepted: [...good.accepted, 'd'] },
    finds: /order d was accepted and is neither/,
  },
  'an order without an end': {
    facts: { orders: [a, b, { ...c, status: 'pending' }] },
    finds: /order c was accepted and is neither/,
  },
  'a completed order charged twice': {
    facts: { charges: [...good.charges, { ...chargeA, chargeId: '4' }] },
    finds: /completed order a was charged 2 times/,
    duplicates: 1,
  },
  'a completed order not charged': {
    facts: { charges: [chargeB, chargeC] },
    finds: /completed order a was charged 0 times/,
  },
  'a completed order charged too little': {
    facts: { charges: [{ ...chargeA, amountMinor: 299 }, chargeB, chargeC] },
    finds: /completed order a costs €3\.00, and €2\.99 was kept/,
  },
  'a completed order refunded': {
    facts: { refunds: [...good.refunds, { chargeId: '1', amountMinor: 300 }] },
    finds: /completed order a costs €3\.00, and €0\.00 was kept/,
  },
  'a cancelled order with its money kept': { facts: { refunds: [] }, finds: /cancelled order c has €9\.00 kept/ },
  'a cancelled order refunded twice': {
    facts: { refunds: [...good.refunds, ...good.refunds] },
    finds: /cancelled order c was refunded €9\.00 more/,
    duplicates: 1,
  },
  'a completed order without its stock': {
    facts: { reservations: [{ ...heldByA, held: false }, releasedByB] },
    finds: /completed order a needs 3 lamp, and nothing is held/,
  },
  'a completed order reserved twice': {
    facts: { reservations: [heldByA, heldByA, releasedByB] },
    finds: /completed order a needs 3 lamp, and 3 lamp, 3 lamp is held/,
    duplicates: 1,
  },
  'a cancelled order that holds stock': {
    facts: { reservations: [heldByA, { ...releasedByB, held: true }] },
    finds: /cancelled order b holds 1 lamp/,
  },
  'stock below zero': {
    facts: { stock: [{ productId: 'lamp', initial: 2, available: -1 }] },
    finds: /stock of lamp is below zero: -1/,
  },
  'stock that has gone': {
    facts: { stock: [{ productId: 'lamp', initial: 5, available: 1 }] },
    finds: /of 5 lamp, 1 are available and 3 held: 1 are gone/,
  },
  'a completed order without a mail': { facts: { mails: [] }, finds: /completed order a was confirmed by 0 mails/ },
  'a second mail': {
    facts: { mails: [{ orderId: 'a' }, { orderId: 'a' }] },
    finds: /completed order a was confirmed by 2 mails/,
    duplicates: 1,
  },
  'a mail for a cancelled order': {
    facts: { mails: [...good.mails, { orderId: 'b' }] },
    finds: /cancelled order b was confirmed by 1 mails/,
  },
  'an end announced twice': {
    facts: { endings: [...good.endings, { orderId: 'a', type: 'order.cancelled' }] },
    finds: /completed order a announced its end as: order\.completed, order\.cancelled/,
    duplicates: 1,
  },
  'an end never announced': {
    facts: { endings: good.endings.slice(1) },
    finds: /completed order a announced its end as: nothing/,
  },
  'a charge for nobody': {
    facts: { charges: [...good.charges, { ...chargeA, chargeId: '5', orderId: 'x' }] },
    finds: /a charge for order x, which nobody placed/,
  },
  'money that does not add up': {
    facts: { charges: [...good.charges, { ...chargeA, chargeId: '5', orderId: 'x' }] },
    finds: /€6\.00 was kept in all, and the completed orders cost €3\.00/,
  },
}

for (const [what, { facts, finds, duplicates = 0 }] of Object.entries(planted)) {
  test(`finds ${what}`, () => {
    const found = violations({ ...good, ...facts })
    assert.ok(
      found.some((sentence) => finds.test(sentence)),
      found.join('\n'),
    )
    assert.equal(countDuplicates({ ...good, ...facts }), duplicates)
  })
}
