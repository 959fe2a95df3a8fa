/** S4, S5, S9, S20: whether every conversation ends, whether it ends right, and what is told too early. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { service } from '../../src/service/index.ts'
import { call, codesOf, findingsOf, flow, plain, run } from './dance.ts'

const [A, B, C, D, Other] = [plain('a'), plain('b'), plain('c'), plain('d'), plain('other.end')]
const [Done, Failed, NoB, NoC] = [plain('done'), plain('failed'), plain('b.rejected'), plain('c.rejected')]
const watch = (name = 'watch') =>
  service(name).deadline(A, { unless: [Done, Failed], within: '1h', emits: [Failed] }, run)
const on = (name: string, trigger: typeof A, ...emits: (typeof A)[]) => service(name).on(trigger, { emits }, run)

test('S4: an answer that nobody goes on after; the sequence leads there', () => {
  const declared = flow([on('s', A, B, NoB), on('t', B, Done)], [A, Done])
  const [finding, more] = findingsOf(declared)
  assert.equal(more, undefined)
  assert.equal(finding?.code, 'S4')
  assert.match(finding.message, /^When s\/a emits b\.rejected, nothing leads to done any more/)
  assert.deepEqual(finding.sequence, ['a starts it', 's/a emits b.rejected'])
})

test('S4: two answers that only together lead nowhere', () => {
  const [X, Y] = [plain('x'), plain('y')]
  const s = on('s', A, B, X)
  const t = on('t', A, C, Y)
  const ends = service('e')
    .all([B, C], { name: 'bc', emits: [Done] }, run)
    .all([B, Y], { name: 'by', emits: [Done] }, run)
    .all([X, C], { name: 'xc', emits: [Done] }, run)
  const [finding, more] = findingsOf(flow([s, t, ends], [A, Done]))
  assert.equal(more, undefined)
  assert.equal(finding?.code, 'S4')
  assert.match(finding.message, /^When s\/a emits x and t\/a emits y,/)
  const all = ends.all([X, Y], { name: 'xy', emits: [Done] }, run)
  assert.deepEqual(codesOf(flow([s, t, all], [A, Done])), [])
})

test('S4: silent when several events are emitted together, or one of them goes along', () => {
  const both = on('s', A, B, C)
  const parts = [on('t', B, plain('t.done')), on('u', C, plain('u.done'))]
  const join = service('e').all([plain('t.done'), plain('u.done')], { emits: [Done] }, run)
  assert.deepEqual(codesOf(flow([both, ...parts, join], [A, Done])), [])
  assert.deepEqual(codesOf(flow([on('s', A, B, plain('s.counted')), on('t', B, Done)], [A, Done])), [])
})

test('S4: silent for a veto, for ends of other kinds, and for events that come into a conversation under way', () => {
  const veto = [on('s', A, B), on('t', B, Done), on('fraud', A, plain('fraud.suspected'))]
  const stop = watch('orders').on(plain('fraud.suspected'), { emits: [Failed] }, run)
  assert.deepEqual(codesOf(flow([...veto, stop], [A, Done, Failed])), [])
  const two = flow([on('s', A, Done, Other)], [A, Done], { ends: { success: [Done, Other] } })
  assert.deepEqual(codesOf(two), [])
  const amended = service('s')
    .on(A, { emits: [Done] }, run)
    .on(D, { name: 'amend' }, run)
  assert.deepEqual(codesOf(flow([amended], [A, Done], { starts: [A, D] })), [])
})

test('S4: each start is judged by itself, unless they need each other', () => {
  const other = service('s')
    .on(A, { emits: [Done] }, run)
    .on(D, { emits: [B, NoB] }, run)
    .on(B, { emits: [Done] }, run)
  assert.deepEqual(codesOf(flow([other], [A, Done], { starts: [A, D] })), ['S4'])
  const join = service('s').all([A, D], { emits: [Done] }, run)
  assert.deepEqual(codesOf(flow([join], [A, Done], { starts: [A, D] })), [])
})

test('S5: asks for a deadline only where an end is promised or failure is thought of', () => {
  const chain = () => [on('s', A, B), on('t', B, Done)]
  assert.deepEqual(codesOf(flow(chain(), [A, Done])), [])
  assert.deepEqual(codesOf(flow(chain(), [A, Done], { within: '1h' })), ['S5'])
  const failing = () => [on('s', A, B, NoB), on('t', B, Done), on('u', NoB, Failed)]
  assert.deepEqual(codesOf(flow(failing(), [A, Done, Failed])), ['S5'])
  assert.deepEqual(codesOf(flow([...failing(), watch()], [A, Done, Failed])), ['S26'])
  const one = service('t')
    .on(B, { emits: [Done] }, run)
    .on(NoB, { emits: [Failed] }, run)
  const watched = one.deadline(A, { unless: [Done, Failed], within: '1h', emits: [Failed] }, run)
  assert.deepEqual(codesOf(flow([on('s', A, B, NoB), watched], [A, Done, Failed])), [])
})

test('S5: a deadline may end it through others, a join may be late, and somebody may hold the key', () => {
  const expired = plain('a.expired')
  const t = () => service('t').on(B, { emits: [Done] }, run)
  const far = t()
    .deadline(A, { unless: [Done, Failed], within: '1h', emits: [expired] }, run)
    .on(expired, { emits: [Failed] }, run)
  assert.deepEqual(codesOf(flow([on('s', A, B), far], [A, Done, Failed])), [])
  const late = service('t').all([B, C], { emits: [Done, Failed], within: '1h', late: run }, run)
  const [finding, more] = findingsOf(flow([on('s', A, B), on('u', A, C), late], [A, Done, Failed]))
  assert.equal(more, undefined)
  assert.match(finding!.message, /^When t\/b\+c gives up/, 'the parts are covered, and the join itself is not')
  const held = [service('s', { onDead: 'hold' }).on(A, { emits: [B] }, run), t()]
  assert.deepEqual(codesOf(flow(held, [A, Done], { within: '1h' })), ['S5'], 't does not hold')
  const all = [
    service('s', { onDead: 'hold' })
      .on(A, { emits: [B] }, run)
      .on(B, { emits: [Done] }, run),
  ]
  assert.deepEqual(codesOf(flow(all, [A, Done], { within: '1h' })), [])
})

test('S5: names who is not covered, and the deadlines that do not help', () => {
  const late = service('t')
    .on(B, { emits: [Done] }, run)
    .deadline(B, { unless: [Done], within: '1h', emits: [Failed] }, run)
  const [finding] = findingsOf(flow([on('s', A, B), late], [A, Done, Failed]))
  assert.equal(finding?.code, 'S5')
  assert.match(finding.message, /^When s\/a gives up \(a dead letter after 8 attempts\), no end comes/)
  assert.match(finding.message, /t\/deadline of b does not cover it/)
})

test('S9: success is told by a service that never hears whether the other part went well', () => {
  const ends = service('orders')
    .on(B, { name: 'complete', emits: [Done] }, run)
    .on(NoC, { emits: [Failed] }, run)
  const parts = [on('s', A, B), on('t', A, C, NoC)]
  const codes = codesOf(flow([...parts, ends, watch('orders2')], [A, Done, Failed]))
  assert.deepEqual(codes, ['S9', 'S26'])
})

test('S9: silent in a row, for a join by hand, for the own service, and for an optional branch', () => {
  const decide = () =>
    service('orders')
      .on(NoC, { emits: [Failed] }, run)
      .deadline(A, { unless: [Done, Failed], within: '1h', emits: [Failed] }, run)
  const row = [on('s', A, C, NoC), on('t', C, B), decide().on(B, { emits: [Done] }, run)]
  assert.deepEqual(codesOf(flow(row, [A, Done, Failed])), [])
  const byHand = [
    on('s', A, B),
    on('t', A, C, NoC),
    decide()
      .on(B, { emits: [Done] }, run)
      .on(C, { emits: [Done] }, run),
  ]
  assert.deepEqual(codesOf(flow(byHand, [A, Done, Failed])), [])
  const own = [
    on('s', A, B),
    decide()
      .on(A, { emits: [C, NoC] }, run)
      .on(B, { emits: [Done] }, run),
  ]
  assert.deepEqual(codesOf(flow(own, [A, Done, Failed])), [])
  const points = service('points').on(A, { filter: () => true, emits: [plain('granted'), plain('refused')] }, run)
  const last = decide().on(B, { emits: [Done] }, run)
  assert.deepEqual(codesOf(flow([on('s', A, B, NoC), points, last], [A, Done, Failed])), [])
})

test('S20: what can not be taken back, on an event that does not tell the outcome', () => {
  const decide = () =>
    service('orders')
      .all([B, C], { emits: [Done] }, run)
      .on(NoC, { emits: [Failed] }, run)
      .deadline(A, { unless: [Done, Failed], within: '1h', emits: [Failed] }, run)
  const base = () => [on('s', A, B), on('t', A, C, NoC), decide()]
  const mail = (trigger: typeof A, name: string) => service('mails').on(trigger, { name, call }, run)
  assert.deepEqual(codesOf(flow([...base(), mail(B, 'thank you')], [A, Done, Failed])), ['S20'])
  assert.deepEqual(codesOf(flow([...base(), mail(A, 'ship')], [A, Done, Failed])), ['S20'])
  for (const [trigger, name] of [
    [A, 'received'],
    [Done, 'thank you'],
    [Failed, 'sorry'],
    [NoC, 'it is short'],
  ] as const) {
    assert.deepEqual(codesOf(flow([...base(), mail(trigger, name)], [A, Done, Failed])), [], name)
  }
  const asking = service('index').on(B, { name: 'update the search index', call }, run)
  assert.deepEqual(codesOf(flow([...base(), asking], [A, Done, Failed])), [])
  const undone = service('mails').on(B, { name: 'ship', call, undo: { on: [Failed], call, run } }, run)
  assert.deepEqual(codesOf(flow([...base(), undone], [A, Done, Failed])), [])
})

test('S20: silent in a row, where only the deadline can still fail it', () => {
  const row = [
    on('s', A, B),
    service('orders')
      .on(B, { emits: [Done] }, run)
      .deadline(A, { unless: [Done, Failed], within: '1h', emits: [Failed] }, run),
    service('mails').on(B, { name: 'thank you', call }, run),
  ]
  assert.deepEqual(codesOf(flow(row, [A, Done, Failed])), [])
})
