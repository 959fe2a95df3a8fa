/** A whole choreography in a world: the shortest test of all parts together. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import * as z from 'zod'
import { event, isQuadrilleError, service } from 'quadrille'
import { world } from 'quadrille/testing'

const Ordered = event('ordered', { key: 'orderId', schema: z.object({ orderId: z.string(), total: z.number() }) })
const Paid = event('paid', { key: 'orderId', schema: z.object({ orderId: z.string() }) })
const Reserved = event('reserved', { key: 'orderId', schema: z.object({ orderId: z.string() }) })
const Completed = event('completed', { key: 'orderId', schema: z.object({ orderId: z.string() }) })

const payments = service('payments').on(
  Ordered,
  { emits: [Paid], call: async () => ({ ok: true }) },
  ({ orderId }, { result }) => {
    assert.deepEqual(result, { ok: true })
    return Paid({ orderId })
  },
)
const inventory = service('inventory').on(Ordered, { emits: [Reserved] }, ({ orderId }) => Reserved({ orderId }))
const orders = service('orders').all([Paid, Reserved], { emits: [Completed] }, ([paid]) =>
  Completed({ orderId: paid.orderId }),
)

test('events go through services, a call and a join', async () => {
  await using w = await world([payments, inventory, orders])
  await w.publish([Ordered({ orderId: '1', total: 5 }), Ordered({ orderId: '2', total: 6 })])
  await w.settled()
  assert.deepEqual(
    w
      .saw(Completed)
      .map((each) => each.orderId)
      .sort(),
    ['1', '2'],
  )
  assert.equal(w.events.length, 8)
  const completed = w.events.find((each) => each.type === 'completed')!
  assert.equal(completed.hops, 2)
  assert.equal(completed.reaction, 'paid+reserved')
  assert.ok(w.events.every((each) => each.correlationId === w.events[0]!.id))
})

test('an expectation that fails shows who has got what, and whether everything had run', async () => {
  const broken = service('mails').on(Paid, { name: 'mail' }, () => {
    throw { message: 'no server' } // eslint-disable-line -- anything can be thrown
  })
  await using w = await world([payments, broken], { errors: 'keep' })
  await w.publish(Ordered({ orderId: '1', total: 5 }))
  const failure = (expect: () => unknown): string => {
    try {
      expect()
    } catch (error) {
      assert.ok(isQuadrilleError(error, 'EXPECTATION_FAILED'))
      return error.message
    }
    return ''
  }
  assert.match(
    failure(() => w.saw(Completed)),
    /^EXPECTATION_FAILED: expected an event completed, but something .* Await settled\(\) first: .*\nconversation/,
  )
  await w.settled()
  const told = failure(() => w.saw(Completed, { orderId: '1' }))
  const flow = told.split('\n').slice(1)
  assert.match(told, /^EXPECTATION_FAILED: expected an event completed with \{"orderId":"1"\}, but .* there was:\n/)
  assert.match(flow[0]!, /^conversation \S+: 2 events in 0ms, 1 waiting$/)
  assert.deepEqual(flow.slice(1), [
    'ordered [1] +0ms from outside',
    '  -> payments/ordered handled',
    '    paid [1] +0ms',
    '      -> mails/mail waiting',
    '        ! tried again (no server) +0ms',
  ])
})
