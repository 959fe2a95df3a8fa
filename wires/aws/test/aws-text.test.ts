/** Names, bodies and filters: what SNS and SQS let through, and what comes back. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { fromCloudEvent, isQuadrilleError, type EventRecord } from 'quadrille'
import { sns, sqs } from '@quadrille/aws'
import { nameOf, plainId, queueName, topicName } from '../src/aws-names.ts'
import { checkedOptions } from '../src/aws-options.ts'
import { parsedPolicy, policyOf, widened } from '../src/filter-policy.ts'
import { decodeMessage, encodeMessage } from '../src/message-body.ts'

const event: EventRecord = {
  id: 'e-1',
  type: 'order.created',
  version: 1,
  source: 'orders',
  key: 'o-1',
  correlationId: 'e-1',
  causationId: null,
  reaction: null,
  hops: 0,
  time: Date.UTC(2026, 10, 26),
  traceparent: null,
  tracestate: null,
  data: '{"orderId":"o-1"}',
  extensions: null,
  position: 1,
}

test('two types never get the same name, and every name is one that AWS takes', () => {
  const parts = fc.constantFrom('a', 'x', '-', '_', '.', '2', 'ä', '🎉')
  const type = fc.array(parts, { minLength: 1, maxLength: 6 }).map((chars) => chars.join(''))
  fc.assert(
    fc.property(type, type, (one, other) => {
      assert.match(nameOf(one), /^[A-Za-z0-9_-]+$/)
      assert.equal(nameOf(one) === nameOf(other), one === other)
    }),
    { numRuns: 2_000 },
  )
})

test('names say what they are, and those that are too long are refused', () => {
  const settings = checkedOptions({}, 'sns')
  assert.equal(topicName(settings, 'order.created'), 'quadrille-order-created.fifo')
  assert.equal(queueName(settings, 'payments'), 'quadrille-payments.fifo')
  assert.equal(queueName({ ...settings, fifo: false, prefix: '' }, 's'.repeat(80)).length, 80)
  for (const fails of [
    () => queueName({ ...settings, fifo: false, prefix: '' }, 's'.repeat(81)),
    () => topicName(settings, 't'.repeat(250)),
  ])
    assert.throws(fails, (error) => isQuadrilleError(error, 'WIRE_INCOMPATIBLE'))
})

test('keys and ids go as they are where AWS takes them, and as their hash otherwise', () => {
  assert.equal(plainId('order-1#2'), 'order-1#2')
  const hashed = ['Łódź', 'two words', 'x'.repeat(129), ''].map(plainId)
  for (const id of hashed) assert.match(id, /^[0-9a-f]{64}$/)
  assert.equal(new Set(hashed).size, hashed.length)
})

test('a message has few attributes, and a body with nothing that SQS refuses', () => {
  const odd = { ...event, data: JSON.stringify({ text: '\uFFFE\uFFFF\u0000\u001f🎉' }), traceparent: '00-1-2-01' }
  const { body, attributes, sizeBytes } = encodeMessage({ event: odd, dedupeId: 'e-1#1' })
  assert.equal(Object.keys(attributes).length <= 10, true)
  // What XML 1.0 calls a character, which is what SQS takes.
  assert.match(body, /^[\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]*$/u)
  assert.deepEqual(JSON.parse(fromCloudEvent(new TextEncoder().encode(body)).data), JSON.parse(odd.data))
  assert.equal(sizeBytes > Buffer.byteLength(body), true)
})

test('messages are read raw, and as SNS wraps them', () => {
  const { body } = encodeMessage({ event, dedupeId: 'e-1' })
  const TopicArn = 'arn:aws:sns:eu-central-1:123456789012:quadrille-order-created.fifo'
  const attributes = { ce_type: { Type: 'String', Value: 'order.created' } }
  const wrapped = { Type: 'Notification', MessageId: 'm', TopicArn, Message: body, MessageAttributes: attributes }
  for (const raw of [{ body, type: 'order.created' }, { body: JSON.stringify(wrapped) }]) {
    const { message } = decodeMessage(raw)
    assert.equal(fromCloudEvent(message.body).id, 'e-1')
    assert.equal(message.channel, 'order.created')
  }
  assert.equal(decodeMessage({ body: JSON.stringify(wrapped) }).topicArn, TopicArn)
  for (const other of ['nonsense "TopicArn"', '{"TopicArn":"x"}', '[]', ''])
    assert.equal(new TextDecoder().decode(decodeMessage({ body: other }).message.body), other)
})

test('patterns become policies over the body', () => {
  assert.equal(policyOf(null), null)
  assert.equal(policyOf([]), null)
  assert.deepEqual(policyOf([{ status: 'failed' }]), { data: { status: ['failed'] } })
  assert.deepEqual(policyOf([{ card: { kind: 'debit' }, tries: 2 }]), {
    data: { card: { kind: ['debit'] }, tries: [2] },
  })
  assert.deepEqual(policyOf([{ a: 1 }, { b: true }]), { $or: [{ data: { a: [1] } }, { data: { b: [true] } }] })
})

for (const [what, pattern] of [
  ['six fields', { a: 1, b: 1, c: 1, d: 1, e: 1, f: 1 }],
  ['a number that is too large', { n: 1e10 }],
  ['a number that is too exact', { n: 0.123456 }],
  ['null', { a: null }],
  ['an empty pattern', {}],
  ['an empty part', { a: {} }],
  ['a field that is a word of SNS', { $or: 'x' }],
  ['a field that looks like a path', { 'a.b': 'x' }],
] as const)
  test(`${what} is not pushed to SNS, which could not apply it: everything comes`, () => {
    assert.equal(policyOf([pattern]), null)
    assert.equal(policyOf([{ status: 'failed' }, pattern]), null)
  })

test('a standing policy is widened, never narrowed', () => {
  const [a, b] = [{ data: { a: [1] } }, { data: { b: [1] } }]
  assert.equal(widened(null, a), null)
  assert.equal(widened(a, null), null)
  assert.deepEqual(widened(a, a), a)
  assert.deepEqual(widened(a, b), { $or: [a, b] })
  assert.deepEqual(widened({ $or: [a, b] }, b), { $or: [a, b] })
  const four = policyOf([{ c: 1, d: 1, e: 1, f: 1 }])
  assert.deepEqual(widened(four, a), { $or: [four, a] })
  assert.equal(widened(widened(four, a), b), null)
  assert.deepEqual(parsedPolicy(JSON.stringify(a)), a)
  for (const none of [undefined, '', '{}', 'null', '[]', 'nonsense']) assert.equal(parsedPolicy(none), null)
})

test('options that make no sense are refused', () => {
  for (const fails of [
    () => sns({ visibility: '2s' }),
    () => sns({ visibility: '13h' }),
    () => sns({ wait: '21s' }),
    () => sns({ pollers: 0 }),
    () => sns({ pollers: 51 }),
    () => sns({ prefix: 'a.b' }),
    () => sns({ messageBytesMax: 262_145 }),
    () => sqs({ queues: {}, messageBytesMax: 1_048_577 }),
    () => sqs({} as never),
    () => sqs({ queues: 5 as never }),
    () => sns({ queues: {} } as never),
    () => sns({ prefx: 'a' } as never),
  ])
    assert.throws(fails, (error) => isQuadrilleError(error, 'OPTION_INVALID'))
  assert.equal(sqs({ queues: {}, messageBytesMax: 1_048_576 }).capabilities.messageBytesMax, 1_048_576)
})

test('standard queues declare that they keep no order', () => {
  assert.equal(sns().capabilities.order, 'always')
  assert.equal(sns({ fifo: false }).capabilities.order, 'none')
  assert.equal(sns({ fifo: false }).capabilities.dedupeMs, 0)
})
