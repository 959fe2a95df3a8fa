/** `explain`: every part an event plays, the policy with its origins, the worst case, and what comes after it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import * as z from 'zod'
import { effectivePolicy, event, explain, explainText, service, worstCase, type ReactionPolicy } from 'quadrille'

const plain = <Type extends string>(type: Type) => event(type, { key: 'id', schema: z.object({ id: z.string() }) })
const [Ordered, Cancelled, Refunded, Done] = [plain('ordered'), plain('cancelled'), plain('refunded'), plain('done')]
const Paid = event('paid', { key: 'id', schema: z.object({ id: z.string(), ok: z.boolean() }) })

const payments = service('payments', { retry: { attempts: 4, base: '1s', factor: 3 }, onDead: 'hold' }).on(
  Ordered,
  {
    name: 'charge',
    emits: [Paid],
    call: () => 1,
    callTimeout: '10s',
    errors: { GatewayBusy: { attempts: 6, base: '2s', max: '4s' }, Declined: 'dead' },
    undo: { on: [Cancelled], emits: [Refunded], run: ({ id }) => Refunded({ id }) },
  },
  ({ id }) => Paid({ id, ok: true }),
)
const orders = service('orders')
  .deadline(Ordered, { name: 'expire', unless: [Done, Cancelled], within: '15m', emits: [Cancelled] }, ({ id }) =>
    Cancelled({ id }),
  )
  .all([Ordered, Paid.where({ ok: true })], { name: 'finish', emits: [Done] }, ([{ id }]) => Done({ id }))
  .on(Ordered, { name: 'count', batch: { size: 10, within: '2s' }, breaker: { failures: 3 } }, () => {})
  .on(Paid.where({ ok: false }), { name: 'give up', emits: [Cancelled], retry: { attempts: 1 } }, ({ id }) =>
    Cancelled({ id }),
  )
const services = [payments, orders]

test('every reaction that the event takes part in is listed with its part, in the order of declaration', () => {
  const told = explain(services, Ordered)
  assert.equal(told.type, 'ordered')
  assert.deepEqual(told.emittedBy, [])
  const parts = told.reactions.map(({ service: by, reaction, role, kind, delayMs }) => [
    by,
    reaction,
    role,
    kind,
    delayMs,
  ])
  assert.deepEqual(parts, [
    ['payments', 'charge', 'trigger', 'on', 0],
    ['orders', 'expire', 'start', 'deadline', 900_000],
    ['orders', 'finish', 'part', 'all', 0],
    ['orders', 'count', 'trigger', 'on', 2_000],
  ])
  const cancelled = explain(services, 'cancelled')
  assert.deepEqual(cancelled.emittedBy, ['orders/expire', 'orders/give up'])
  assert.deepEqual(
    cancelled.reactions.map(({ reaction, role, emits, calls }) => ({ reaction, role, emits, calls })),
    [
      { reaction: 'charge', role: 'undo', emits: ['refunded'], calls: false },
      { reaction: 'expire', role: 'unless', emits: [], calls: false },
    ],
  )
  assert.deepEqual(explain(services, Refunded), { type: 'refunded', emittedBy: ['payments/charge'], reactions: [] })
})

test('an event that two reactions tell apart by pattern is listed with the patterns', () => {
  const patterns = explain(services, Paid).reactions.map(({ reaction, pattern }) => [reaction, pattern])
  assert.deepEqual(patterns, [
    ['finish', { ok: true }],
    ['give up', { ok: false }],
  ])
})

test('each value of the policy says where it comes from', () => {
  const [charge, expire] = explain(services, Ordered, { callTimeout: '3s', maxHops: 7, onDead: 'continue' }).reactions
  assert.equal(charge!.policy.callTimeoutMs, 10_000)
  assert.deepEqual(charge!.policy.origins, {
    retry: 'service',
    errors: 'reaction',
    onDead: 'service',
    concurrency: 'default',
    rate: 'default',
    breaker: 'default',
    callTimeoutMs: 'reaction',
    maxHops: 'app',
  })
  assert.equal(expire!.policy.callTimeoutMs, 3_000)
  assert.equal(expire!.policy.origins.callTimeoutMs, 'app')
  assert.equal(expire!.policy.onDead, 'continue')
})

test('the worst case takes the longest wait and the most attempts that any retry rule allows', () => {
  const [charge] = explain(services, Ordered).reactions
  // Waits after attempts 1 to 3 under `retry` (1, 3, 9 s) or GatewayBusy (2, 4, 4 s), then GatewayBusy alone (4, 4 s).
  assert.deepEqual(charge!.worst, { attempts: 6, waitsMs: 23_000, callsMs: 60_000, totalMs: 83_000 })
  const [undo, settle] = explain(services, Cancelled).reactions
  // An undo is tried at least 20 times, under each rule: waits of 2, 4, 9 and 27 s, then 15 of a minute.
  assert.deepEqual(undo!.worst, { attempts: 20, waitsMs: 942_000, callsMs: 0, totalMs: 942_000 })
  assert.equal(settle!.worst, null)
  const giveUp = explain(services, Paid).reactions[1]!
  assert.deepEqual(giveUp.worst, { attempts: 1, waitsMs: 0, callsMs: 0, totalMs: 0 })
})

test('no mixture of errors takes longer than the worst case', () => {
  const retry = fc.record({
    attempts: fc.integer({ min: 1, max: 8 }),
    base: fc.integer({ min: 0, max: 500 }),
    max: fc.integer({ min: 0, max: 4_000 }),
    factor: fc.integer({ min: 1, max: 4 }),
  })
  const policies: fc.Arbitrary<ReactionPolicy> = fc.record({
    retry,
    errors: fc.dictionary(fc.string(), retry, { maxKeys: 3 }),
  })
  fc.assert(
    fc.property(policies, fc.infiniteStream(fc.nat()), (given, picks) => {
      const policy = effectivePolicy({ reaction: given }, 'test')
      const rules = [policy.retry, ...Object.values(policy.errors)].filter((rule) => rule !== 'dead')
      const worst = worstCase(policy, false)
      let [attempt, waited] = [1, 0]
      for (const pick of picks) {
        const rule = rules[pick % rules.length]!
        if (attempt >= rule.attempts) break
        waited += Math.min(rule.maxMs, rule.baseMs * rule.factor ** (attempt - 1))
        attempt += 1
      }
      assert.ok(attempt <= worst.attempts)
      assert.ok(waited <= worst.waitsMs)
    }),
  )
})

test('what happens after the last attempt depends on onDead, on undo and on the breaker', () => {
  const [charge, , , count] = explain(services, Ordered).reactions
  assert.equal(charge!.afterLast, 'it becomes a dead letter, later events of its key wait until it is dealt with')
  assert.match(count!.afterLast, /go on; 3 failures in a row pause the reaction$/)
  const [undo, settle] = explain(services, Cancelled).reactions
  assert.match(undo!.afterLast, /the action is still not undone/)
  assert.equal(settle!.afterLast, '')
})

test('the text says all of it', () => {
  const text = explainText(explain(services, Ordered)).replaceAll(/ {2}\(\S+:\d+\)/g, '  (file:line)')
  assert.deepEqual(text.split('\n').slice(0, 18), [
    'ordered: emitted by no reaction of these services',
    '',
    'payments/charge: runs it  (file:line)',
    '  may emit     paid',
    '  calls        the outside',
    '  worst case   6 attempts, 83s (23s of waits + 1m of calls)',
    '  then         it becomes a dead letter, later events of its key wait until it is dealt with',
    '  retry        4 attempts, waits 1s × 3 up to 1m              [service]',
    '  errors       GatewayBusy: 6 attempts, waits 2s × 2 up to 4s [reaction]',
    '               Declined: dead                                 [reaction]',
    '  onDead       hold                                           [service]',
    '  concurrency  16 calls                                       [default]',
    '  callTimeout  10s                                            [reaction]',
    '  rate         no limit                                       [default]',
    '  breaker      none                                           [default]',
    '  maxHops      25                                             [default]',
    '',
    'orders/expire: starts its deadline  (file:line)',
  ])
  assert.match(text, /orders\/expire: .*\n {2}may emit {5}cancelled\n {2}put off {6}up to 15m\n/)
  assert.equal(
    explainText(explain([], 'x')),
    'x: emitted by no reaction of these services\n\nNo reaction of these services takes part.\n',
  )
  assert.match(explainText(explain(services, Paid)), /orders\/give up: runs it, only \{ok=false\}/)
})
