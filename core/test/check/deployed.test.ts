/** S18, D1, D2: several versions of services together. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import * as z from 'zod'
import * as v from 'valibot'
import { event, type AnyContract } from '../../src/contracts/index.ts'
import { service, type AnyService } from '../../src/service/index.ts'
import { check } from '../../src/check/index.ts'
import { codesOf, findingsOf, flow, plain, run } from './dance.ts'

const Asked = plain('asked')
const Done = plain('done')
const paid = (schema: object) => event('paid', { key: 'orderId', schema: z.object({ orderId: z.string(), ...schema }) })
const payments = (contract: AnyContract) => service('payments').on(Asked, { emits: [contract] }, run) as AnyService
const orders = (contract: AnyContract) => service('orders').on(contract, { emits: [Done] }, run) as AnyService
const talk = (sent: AnyContract, read: AnyContract) => flow([payments(sent), orders(read)], [Asked, Done])

test('S18: two contracts of one name in one choreography, with a value that is sent and not read', () => {
  const declared = talk(paid({ amount: z.number() }), paid({ amount: z.string() }))
  const [finding, more] = findingsOf(declared)
  assert.equal(more, undefined)
  assert.equal(finding?.code, 'S18')
  assert.match(
    finding.message,
    /a paid that is sent as \{"orderId":"a","amount":\S+\} becomes a dead letter: EVENT_INVALID/,
  )
  assert.deepEqual(
    finding.places.map(({ what }) => what),
    ['payments/asked', 'orders/paid'],
  )
})

test('S18: a start that a service reads by a contract of its own', () => {
  const Started = event('asked', { key: 'orderId', schema: z.object({ orderId: z.string(), units: z.number() }) })
  const Copy = event('asked', { key: 'orderId', schema: z.object({ orderId: z.string(), sku: z.string() }) })
  const desk = (read: AnyContract) => service('desk').on(read, { emits: [Done] }, run) as AnyService
  const [finding] = findingsOf(flow([desk(Copy)], [Started, Done]))
  assert.equal(finding?.code, 'S18')
  assert.match(finding.message, /^whoever starts it and desk\/asked have contracts of their own called asked/)
  assert.deepEqual(
    finding.places.map(({ what }) => what),
    ['desk/asked'],
  )
  const fits = event('asked', { key: 'orderId', schema: z.object({ orderId: z.string() }) })
  assert.deepEqual(codesOf(flow([desk(fits)], [Started, Done])), [])
})

test('S18: silent for copies that fit, whatever the reader leaves out or library it uses', () => {
  const sent = paid({ amount: z.number().min(0), note: z.string().optional() })
  const copies: AnyContract[] = [
    paid({ amount: z.number() }),
    paid({}),
    paid({ amount: z.number(), country: z.string().default('de') }),
    event('paid', { key: 'orderId', schema: v.object({ orderId: v.string(), amount: v.number() }) }),
  ]
  for (const copy of copies) assert.deepEqual(codesOf(talk(sent, copy)), [])
  const verdicts = copies.map((copy) => check(talk(sent, copy)).decoding[0]!.verdict)
  assert.deepEqual(verdicts, ['proven', 'proven', 'proven', 'unknown'])
})

test('S18: an upcast that does not take everything that was sent', () => {
  const versions = (upcast: (old: { orderId: string; amount: string }) => { orderId: string; amount: number }) =>
    event('paid', { key: 'orderId', schema: z.object({ orderId: z.string(), amount: z.string() }) }).version(2, {
      schema: z.object({ orderId: z.string(), amount: z.number() }),
      upcast,
    })
  const careless = versions((old) => ({ ...old, amount: Number.parseFloat(old.amount) }))
  const [finding] = findingsOf(talk(careless, careless))
  assert.equal(finding?.code, 'S18')
  assert.match(finding.message, /^An old paid \(version 1\) can not be brought up to version 2 as /)
  const careful = versions((old) => ({ ...old, amount: Number(old.amount) || 0 }))
  assert.deepEqual(codesOf(talk(careful, careful)), [])
})

const deployed = (now: [AnyContract, AnyContract], before: AnyService[]) =>
  check(talk(...now), { deployed: before }).findings.map(({ code, message }) => `${code} ${message}`)

const V1 = paid({ amount: z.number() })

test('D1: a new producer whose events the deployed consumer does not decode', () => {
  const V2 = event('paid', { key: 'orderId', schema: z.object({ orderId: z.string(), amount: z.number() }) }).version(
    2,
    {
      schema: z.object({ orderId: z.string(), amount: z.number(), currency: z.string() }),
      upcast: (old) => ({ ...old, currency: 'EUR' }),
    },
  )
  const [said, more] = deployed([V2, V2], [payments(V1), orders(V1)])
  assert.equal(more, undefined)
  assert.match(said!, /^D1 While both run, payments \(new\) sends paid, and orders \(deployed\) can not decode it/)
  assert.match(said!, /the reader knows no version 2/)
  // The readers are released first: the deployed one knows version 2 already.
  assert.deepEqual(deployed([V2, V2], [payments(V1), orders(V2)]), [])
})

test('D1: an old producer whose events the new consumer does not decode any more, with the value', () => {
  const strict = paid({ amount: z.number(), currency: z.string() })
  const said = deployed([strict, strict], [payments(V1), orders(V1)])
  assert.equal(said.length, 1)
  assert.match(said[0]!, /^D1 .*payments \(deployed\) sends paid as \{"orderId":"a","amount":1\}, and orders \(new\)/)
})

const status = (...values: [string, ...string[]]) => paid({ status: z.enum(values) })
const [narrow, wider] = [status('ok', 'no'), status('ok', 'no', 'later')]

test('D1: a value more that is sent; silent when the reader is open, or when a field is only added', () => {
  const said = deployed([wider, wider], [payments(narrow), orders(narrow)])
  assert.match(said[0]!, /sends paid as \{"orderId":"a","status":"later"\}/)
  assert.deepEqual(deployed([narrow, wider], [payments(narrow), orders(narrow)]), [])
  const more = paid({ amount: z.number(), note: z.string().optional() })
  assert.deepEqual(deployed([more, more], [payments(V1), orders(V1)]), [])
})

test('D1: another key', () => {
  const other = event('paid', { key: 'paymentId', schema: z.object({ orderId: z.string(), paymentId: z.string() }) })
  const said = deployed([V1, V1], [payments(other), orders(other)])
  assert.ok(said.length > 0 && said.every((each) => each.startsWith('D1')))
  assert.match(said.join('\n'), /it is keyed by paymentId, and read by orderId/)
})

test('D2: a new event that the deployed consumer passes by, and an old one that the new consumer has dropped', () => {
  const Settled = plain('settled')
  const before = [payments(V1), orders(V1)]
  const said = deployed([Settled, Settled], before)
  assert.equal(said.length, 2)
  const [fresh, gone] = ['settled', 'paid'].map((type) => said.find((each) => each.includes(` sends ${type}`)))
  assert.match(fresh!, /^D2 While both run, payments \(new\) sends settled, to which only the new orders reacts/)
  assert.match(gone!, /^D2 payments \(deployed\) still sends paid, and the new orders does not react/)
  // The reader goes first, and keeps what it had.
  const both = service('orders')
    .on(V1, { emits: [Done] }, run)
    .on(Settled, { emits: [Done] }, run) as AnyService
  const later = { external: [{ name: 'later', emits: [Settled] }] }
  assert.deepEqual(check(flow([payments(V1), both], [Asked, Done], later), { deployed: before }).findings, [])
  const old = { external: [{ name: 'old', emits: [V1] }] }
  const then = check(flow([payments(Settled), both], [Asked, Done], old), { deployed: [payments(V1), both] })
  assert.deepEqual(then.findings, [])
})

test('D2: a status that only the new consumer reacts to', () => {
  const reading = (contract: ReturnType<typeof status>, ...values: string[]) => {
    let made = service('orders')
    for (const value of values) made = made.on(contract.where({ status: value } as never), { emits: [Done] }, run)
    return made as AnyService
  }
  const now = flow([payments(wider), reading(wider, 'ok', 'no', 'later')], [Asked, Done])
  const said = (readers: AnyService) =>
    check(now, { deployed: [payments(narrow), readers] }).findings.map(({ code }) => code)
  assert.deepEqual(said(reading(wider, 'ok', 'no')), ['D2'])
  assert.deepEqual(said(reading(wider, 'ok', 'no', 'later')), [])
})

test('the same versions on both sides have nothing to say, and strangers are left alone', () => {
  assert.deepEqual(deployed([V1, V1], [payments(V1), orders(V1)]), [])
  assert.deepEqual(deployed([V1, V1], [service('stranger').on(Done, run) as AnyService]), [])
})
