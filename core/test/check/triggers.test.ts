/** S1, S2, S3, S10, S26: who emits what, who reacts, and whether the two can meet. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import * as z from 'zod'
import * as v from 'valibot'
import { event } from '../../src/contracts/index.ts'
import { choreography, service } from '../../src/service/index.ts'
import { check } from '../../src/check/index.ts'
import { codesOf, findingsOf, flow, plain, run } from './dance.ts'

const [A, B, C, D, Done, Failed] = [plain('a'), plain('b'), plain('c'), plain('d'), plain('done'), plain('failed')]
const step = (name: string, on: Parameters<ReturnType<typeof service>['on']>[0], ...emits: (typeof A)[]) =>
  service(name).on(on, { emits }, run)

test('S1: a trigger that nobody emits, with what is lost by it and what may have been meant', () => {
  const Typed = plain('stock.reservd')
  const declared = flow([step('stock', A, plain('stock.reserved')), step('orders', Typed, Done)], [A, Done])
  const [finding] = findingsOf(declared)
  assert.equal(finding?.code, 'S1')
  assert.match(finding.message, /^orders\/stock\.reservd reacts to stock\.reservd, which nobody emits: it never runs\./)
  assert.match(finding.message, /the end done will never be reached either\./)
  assert.match(finding.fix, /Did you mean stock\.reserved\?/)
  assert.match(finding.places[0]!.at, /triggers\.test\.ts:\d+$/)
})

test('S1: also for what undoes, what settles, and the parts of a join', () => {
  const base = () => service('s').on(A, { emits: [Done, Failed] }, run)
  const undo = service('u').on(A, { name: 'u', undo: { on: [B, Failed], run } }, run)
  const settle = service('d').deadline(A, { unless: [B, Done, Failed], within: '1h', emits: [Failed] }, run)
  const join = service('j').all([A, B], {}, run)
  for (const [added, words] of [
    [undo, /is undone by b, which nobody emits: it is never undone by it/],
    [settle, /is settled by b, which nobody emits: the deadline is never settled by it/],
    [join, /waits for b, which nobody emits: the join is never complete/],
  ] as const) {
    const findings = findingsOf(flow([base(), added], [A, Done, Failed])).filter(({ code }) => code === 'S1')
    assert.equal(findings.length, 1)
    assert.match(findings[0]!.message, words)
  }
})

test('S1: silent for what comes from outside, as a start or from somebody external', () => {
  const waiting = () => [service('s').all([A, B], { emits: [Done] }, run)]
  assert.deepEqual(codesOf(flow(waiting(), [A, Done])), ['S1'])
  assert.deepEqual(codesOf(flow(waiting(), [A, Done], { starts: [A, B] })), [])
  assert.deepEqual(codesOf(flow(waiting(), [A, Done], { external: [{ name: 'bank', emits: [B] }] })), [])
  const asked = { external: [{ name: 'bank', consumes: [A], emits: [B] }] }
  assert.deepEqual(codesOf(flow(waiting(), [A, Done], asked)), [])
  // Somebody external who is never asked does not answer.
  const unasked = { external: [{ name: 'bank', consumes: [C], emits: [B] }] }
  assert.deepEqual(codesOf(flow(waiting(), [A, Done], unasked)), ['S3'])
})

test('S1 and S3: a service that takes part in several choreographies is judged over all of them', () => {
  const shared = service('s')
    .on(A, { emits: [Done] }, run)
    .on(B, { emits: [C] }, run)
  const one = flow([shared], [A, Done])
  const two = choreography('two', { services: [shared], starts: [B], ends: { success: [C] } })
  assert.deepEqual(codesOf(one), ['S1'])
  assert.deepEqual(check([one, two]).findings, [])
})

test('S2: an event that the conversation goes on without', () => {
  const reserve = service('stock').on(A, { name: 'reserve', emits: [B] }, run)
  const [finding] = findingsOf(flow([reserve, step('orders', A, Done)], [A, Done]))
  assert.equal(finding?.code, 'S2')
  assert.equal(finding.severity, 'warning')
  assert.match(finding.message, /^stock\/reserve emits b, and nobody reacts/)
})

test('S2: silent when somebody outside reads it, when it is told aside, optional, or after the end', () => {
  const orders = () => step('orders', A, Done)
  const read = { external: [{ name: 'warehouse', consumes: [B] }] }
  assert.deepEqual(codesOf(flow([step('s', A, B), orders()], [A, Done], read)), [])
  assert.deepEqual(codesOf(flow([step('audit-log', A, B), orders()], [A, Done])), [])
  assert.deepEqual(codesOf(flow([step('s', Done, B), orders()], [A, Done])), [], 'after the end')
  const optional = service('gifts').on(A, { filter: () => true, emits: [B] }, run)
  assert.deepEqual(codesOf(flow([optional, orders()], [A, Done])), [])
  const beside = service('orders').on(A, { emits: [Done, B] }, run)
  assert.deepEqual(codesOf(flow([beside], [A, Done])), [], 'beside what leads on')
  const undone = service('orders').on(A, { emits: [Done, Failed], undo: { on: [Failed], emits: [B], run } }, run)
  assert.deepEqual(codesOf(flow([undone], [A, Done], { ends: { success: [Done], failure: [Failed] } })), ['S5'])
})

test('S3: what nothing leads to, although everybody who is waited for exists', () => {
  const circle = [step('s', A, Done), step('x', B, C), step('y', C, B)]
  const findings = findingsOf(flow(circle, [A, Done]))
  assert.deepEqual([...new Set(findings.map(({ code }) => code))], ['S3', 'S16'])
  const lost = findingsOf(flow([step('s', A, B), step('t', B, C)], [A, Done])).filter(({ code }) => code === 'S3')
  assert.match(lost[0]!.message, /the end done is never reached/)
})

const Paid = event('paid', {
  key: 'orderId',
  schema: z.object({ orderId: z.string(), status: z.enum(['ok', 'no']) }),
})

test('S3: a join of events that exclude each other', () => {
  const both = () =>
    service('j').all([Paid.where({ status: 'ok' }), Paid.where({ status: 'no' })], { name: 'both' }, run)
  const pay = service('p').on(A, { emits: [Paid] }, run)
  const end = service('e').on(Paid, { emits: [Done] }, run)
  const findings = findingsOf(flow([pay, both(), end], [A, Done]))
  assert.deepEqual(
    findings.map(({ code }) => code),
    ['S3'],
  )
  assert.match(findings[0]!.message, /p\/a emits one or the other: the join is never complete/)
  // Two services, or a second try, may emit both.
  const again = service('q').on(Paid.where({ status: 'no' }), { emits: [Paid], maxHops: 5 }, run)
  assert.deepEqual(codesOf(flow([pay, both(), end, again], [A, Done])), ['S26'])
})

test('S10: events that are brought together by keys of different things', () => {
  const schema = z.object({ orderId: z.string(), customerId: z.string() })
  const Ordered = event('ordered', { key: 'orderId', schema })
  const Verified = event('verified', { key: 'customerId', schema })
  const verify = service('v').on(Ordered, { emits: [Verified] }, run)
  const join = service('j').all([Ordered, Verified], { name: 'both', emits: [Done] }, run)
  const [finding] = findingsOf(flow([verify, join], [Ordered, Done]))
  assert.equal(finding?.code, 'S10')
  assert.match(finding.message, /one is keyed by orderId and the other by customerId/)
  const undo = service('u').on(Ordered, { name: 'u', undo: { on: [Verified], run } }, run)
  assert.ok(codesOf(flow([verify, undo, step('e', Verified, Done)], [Ordered, Done])).includes('S10'))
  const deadline = service('d').deadline(Ordered, { unless: [Verified], within: '1h' }, run)
  assert.ok(codesOf(flow([verify, deadline, step('e', Verified, Done)], [Ordered, Done])).includes('S10'))
})

test('S10: silent for names that may mean the same', () => {
  const keyed = (type: string, key: string) =>
    event(type, { key: key as 'id', schema: z.object({ [key]: z.string(), orderId: z.string() }) as never })
  for (const [one, two] of [
    ['id', 'orderId'],
    ['orderId', 'order_id'],
    ['order', 'orderId'],
    ['orderNumber', 'orderId'],
  ] as const) {
    const [X, Y] = [keyed('x', one), keyed('y', two)]
    const declared = flow(
      [service('s').on(X, { emits: [Y] }, run), service('j').all([X, Y], { emits: [Done] }, run)],
      [X, Done],
    )
    assert.deepEqual(codesOf(declared), [], `${one} and ${two}`)
  }
})

test('S26: one event type, two services; silent for one service, and for somebody outside', () => {
  const twice = [step('one', A, B), step('two', A, B), step('e', B, Done)]
  const [finding] = findingsOf(flow(twice, [A, Done]))
  assert.equal(finding?.code, 'S26')
  assert.match(finding.message, /^one and two both emit b/)
  const once = service('one')
    .on(A, { emits: [B] }, run)
    .on(C, { emits: [B] }, run)
  assert.deepEqual(codesOf(flow([once, step('e', B, Done)], [A, Done], { starts: [A, C] })), [])
  const outside = { external: [{ name: 'customer', emits: [B] }] }
  assert.deepEqual(codesOf(flow([step('one', A, B), step('e', B, Done)], [A, Done], outside)), [])
})

test('patterns that cover a type are all there is, with any schema library', () => {
  const schemas = {
    enum: z.object({ orderId: z.string(), status: z.enum(['ok', 'no']) }),
    union: z.discriminatedUnion('status', [
      z.object({ orderId: z.string(), status: z.literal('ok') }),
      z.object({ orderId: z.string(), status: z.literal('no'), why: z.string() }),
    ]),
    text: z.object({ orderId: z.string(), status: z.string() }),
    valibot: v.object({ orderId: v.string(), status: v.picklist(['ok', 'no']) }),
  }
  for (const [name, schema] of Object.entries(schemas)) {
    const Answered = event('answered', { key: 'orderId', schema: schema as typeof schemas.enum })
    const both = service('e')
      .on(Answered.where({ status: 'ok' }), { emits: [Done] }, run)
      .on(Answered.where({ status: 'no' }), { emits: [Failed] }, run)
      .deadline(A, { unless: [Done, Failed], within: '1h', emits: [Failed] }, run)
    const asked = service('s').on(A, { emits: [Answered] }, run)
    assert.deepEqual(codesOf(flow([asked, both], [A, Done, Failed])), [], name)
    const half = service('e').on(Answered.where({ status: 'ok' }), { emits: [Done] }, run)
    assert.deepEqual(codesOf(flow([asked, half], [A, Done])), ['S4'], name)
  }
})

test('a third value that nobody thought of leads nowhere', () => {
  const Answered = event('answered', {
    key: 'orderId',
    schema: z.object({ orderId: z.string(), status: z.enum(['ok', 'no', 'later']) }),
  })
  const both = service('e')
    .on(Answered.where({ status: 'ok' }), { emits: [Done] }, run)
    .on(Answered.where({ status: 'no' }), { emits: [Failed] }, run)
  const declared = flow([service('s').on(A, { emits: [Answered] }, run), both], [A, Done, Failed])
  const stuck = findingsOf(declared).find(({ code }) => code === 'S4')
  assert.match(stuck!.message, /answered\{status=other\}/)
})

test('nested patterns and booleans are told apart as well', () => {
  const Answered = event('answered', {
    key: 'orderId',
    schema: z.object({ orderId: z.string(), card: z.object({ ok: z.boolean() }) }),
  })
  const both = () =>
    service('e')
      .on(Answered.where({ card: { ok: true } }), { emits: [Done] }, run)
      .on(Answered.where({ card: { ok: false } }), { emits: [D] }, run)
  const asked = service('s').on(A, { emits: [Answered] }, run)
  assert.deepEqual(codesOf(flow([asked, both(), step('f', D, Done)], [A, Done])), ['S26'])
  assert.deepEqual(codesOf(flow([asked, both()], [A, Done])), ['S4'])
})
