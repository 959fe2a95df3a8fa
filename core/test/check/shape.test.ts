/** S16, S17, S23, S24, and the size of a choreography. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import * as z from 'zod'
import { event } from '../../src/contracts/index.ts'
import { service, type AnyService } from '../../src/service/index.ts'
import { check } from '../../src/check/index.ts'
import { call, codesOf, findingsOf, flow, plain, run } from './dance.ts'

const [A, B, C, Done, Failed] = [plain('a'), plain('b'), plain('c'), plain('done'), plain('failed')]
const on = (name: string, trigger: typeof A, ...emits: (typeof A)[]) => service(name).on(trigger, { emits }, run)
const end = (trigger: typeof A) => service('end').on(trigger, { emits: [Done] }, run)

test('S16: a cycle without a way out, one that begins again after its end, one that leaves only when all goes well', () => {
  assert.deepEqual(codesOf(flow([on('x', A, B), on('y', B, A), end(A)], [A, Done])), ['S16'])
  assert.deepEqual(
    codesOf(flow([on('x', A, Failed), on('y', A, Done), on('z', Failed, A)], [A, Done, Failed])).includes('S16'),
    true,
  )
  const declined = plain('payment.declined')
  const retry = [on('pay', A, B, declined), on('again', declined, A), end(B)]
  const [finding, more] = findingsOf(flow(retry, [A, Done]))
  assert.equal(more, undefined)
  assert.equal(finding?.code, 'S16')
  assert.match(finding.message, /it leaves only when all goes well, and payment\.declined leads round again/)
  assert.match(finding.message, /until an event has 25 hops/)
})

test('S16: silent for a cycle that somebody bounds', () => {
  const declined = plain('payment.declined')
  const decide = () => service('orders').deadline(A, { unless: [Done, Failed], within: '1h', emits: [Failed] }, run)
  const pay = () => on('pay', A, B, declined)
  const counted = decide()
    .on(B, { emits: [Done] }, run)
    .on(declined, { emits: [A, Failed] }, run)
  assert.deepEqual(codesOf(flow([pay(), counted], [A, Done, Failed])), [], 'it gives up by itself')
  const limited = service('again').on(declined, { emits: [A], maxHops: 6 }, run)
  assert.deepEqual(codesOf(flow([pay(), limited, end(B)], [A, Done])), [], 'a hop limit of its own')
  const filtered = service('again').on(declined, { emits: [A], filter: () => true }, run)
  assert.deepEqual(codesOf(flow([pay(), filtered, end(B)], [A, Done])), [], 'a filter')
  const slow = service('again').deadline(declined, { unless: [Done], within: '1h', emits: [A] }, run)
  assert.deepEqual(codesOf(flow([pay(), slow, end(B)], [A, Done])), [], 'a pause')
  const person = { external: [{ name: 'customer', consumes: [declined], emits: [A] }] }
  assert.deepEqual(codesOf(flow([pay(), end(B)], [A, Done], person)), [], 'a person')
})

test('S16: silent for pages and trees, which become less each time round', () => {
  const Page = event('page', { key: 'orderId', schema: z.object({ orderId: z.string(), more: z.boolean() }) })
  const pages = service('pages')
    .on(A, { emits: [Page] }, run)
    .on(Page.where({ more: true }), { emits: [Page] }, run)
    .on(Page.where({ more: false }), { emits: [Done] }, run)
  assert.deepEqual(codesOf(flow([pages], [A, Done])), [])
  const folders = service('folders')
    .on(A, { emits: [A, B] }, run)
    .on(B, { emits: [Done] }, run)
  assert.deepEqual(codesOf(flow([folders], [A, Done])), [])
})

test('S17: a start that leads to more handlings than allowed', () => {
  const wide: AnyService[] = Array.from({ length: 12 }, (_, index) => on(`s${index}`, A, B)) as never
  const readers = Array.from({ length: 12 }, (_, index) => on(`r${index}`, B)) as never as AnyService[]
  const declared = flow([...wide, ...readers, end(B)] as never, [A, Done])
  const report = check(declared, { handlingsMax: 100 })
  assert.ok(report.findings.some(({ code }) => code === 'S17'))
  assert.equal(report.flows[0]!.handlings, 12 + 12 * 13)
  assert.ok(!check(declared).findings.some(({ code }) => code === 'S17'))
})

test('S23: a deadline that passes while a call may still be answered', () => {
  const deciding = (within: '20s' | '1m' | '5m') =>
    service('orders')
      .on(B, { emits: [Done] }, run)
      .deadline(A, { unless: [Done, Failed], within, emits: [Failed] }, run)
  const asking = (policy: object = {}) =>
    service('s', policy).on(A, { emits: [B], call, undo: { on: [Failed], run } }, run)
  const [finding] = findingsOf(flow([asking(), deciding('20s')], [A, Done, Failed]))
  assert.equal(finding?.code, 'S23')
  assert.match(finding.message, /passes after 20s, but .* can take 30s/)
  assert.deepEqual(codesOf(flow([asking(), deciding('1m')], [A, Done, Failed])), [])
  const stated = { callTimeout: '15s', retry: { attempts: 5, base: '1s' } }
  assert.deepEqual(codesOf(flow([asking(stated), deciding('1m')], [A, Done, Failed])), ['S23'])
  assert.deepEqual(codesOf(flow([asking(stated), deciding('5m')], [A, Done, Failed])), [])
})

test('S23: a promise that is shorter than its deadline', () => {
  const orders = service('orders')
    .on(A, { emits: [Done] }, run)
    .deadline(A, { unless: [Done, Failed], within: '1h', emits: [Failed] }, run)
  assert.deepEqual(codesOf(flow([orders], [A, Done, Failed], { within: '15m' })), ['S23'])
  assert.deepEqual(codesOf(flow([orders], [A, Done, Failed], { within: '1h' })), [])
})

test('S24: a chain that is longer than the hop limit of its last reaction', () => {
  const chain = (maxHops: number) =>
    flow([on('x', A, B), on('y', B, C), service('z', { maxHops }).on(C, { emits: [Done] }, run)], [A, Done])
  const [finding] = findingsOf(chain(1))
  assert.equal(finding?.code, 'S24')
  assert.match(finding.message, /z\/c can be reached after 2 hops, and its limit is 1/)
  assert.deepEqual(codesOf(chain(2)), [])
})

test('the size of a flow: handlings, the longest path, attempts and time at worst', () => {
  const slow = service('y', { retry: { attempts: 3, base: '1s' }, callTimeout: '10s' }).on(
    B,
    { emits: [Done], call },
    run,
  )
  const declared = flow([on('x', A, B), slow, on('z', A)], [A, Done])
  const [size] = check(declared).flows
  const { place, runs, work, ...rest } = size!
  assert.deepEqual(rest, {
    choreography: 'flow',
    services: 3,
    reactions: 3,
    events: 3,
    handlings: 3,
    longestPath: ['a', 'b', 'done'],
    attempts: 8 + 8 + 3,
    worstMs: 25_400 + 3_000 + 30_000,
  })
  assert.match(place, /dance\.ts:\d+$/)
  assert.ok(runs > 0 && work > 0)
})
