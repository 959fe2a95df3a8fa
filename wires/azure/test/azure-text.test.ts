/** Messages, sessions and rules, without a server. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromBinaryEvent, isQuadrilleError, type EventRecord, type Pattern } from 'quadrille'
import { serviceBus, type ServiceBusOptions } from '@quadrille/azure'
import { checkedOptions } from '../src/azure-options.ts'
import { subscriptionName } from '../src/azure-topology.ts'
import { decodeMessage, encodeMessage } from '../src/service-bus-message.ts'
import { rulesFor } from '../src/subscription-rules.ts'

const connectionString = 'Endpoint=sb://localhost;SharedAccessKeyName=a;SharedAccessKey=a;UseDevelopmentEmulator=true;'
const settings = checkedOptions({ connectionString, fields: ['status', 'card.kind', 'list'] })
const types = new Set(['order.created', 'other'])

const eventOf = (fields: Partial<EventRecord> = {}): EventRecord => ({
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
  data: '{"status":"failed","card":{"kind":"debit"},"list":[1]}',
  extensions: null,
  position: 1,
  ...fields,
})

test('an event comes back as it was, with the fields that filters use beside it', () => {
  const message = encodeMessage({ event: eventOf(), dedupeId: 'e-1#1' }, settings)
  assert.equal(message.messageId, 'e-1#1')
  assert.equal(message.subject, 'order.created')
  assert.equal(message.applicationProperties!['data_status'], 'failed')
  assert.equal(message.applicationProperties!['data_card.kind'], 'debit')
  assert.equal(message.applicationProperties!['data_list'], '')
  const { attributes, body, channel } = decodeMessage(message, types)
  assert.equal(channel, 'order.created')
  const { position: _, ...sent } = eventOf()
  assert.deepEqual(fromBinaryEvent(attributes!, body), sent)
})

test('both prefixes of the binding are read, and structured mode', () => {
  const applicationProperties = { 'cloudEvents:specversion': '1.0', 'cloudEvents:type': 'other', 'cloudEvents:id': 'x' }
  const binary = decodeMessage(
    { body: Buffer.from('{}'), contentType: 'application/json', applicationProperties },
    types,
  )
  assert.deepEqual(binary.attributes, {
    specversion: '1.0',
    type: 'other',
    id: 'x',
    datacontenttype: 'application/json',
  })
  assert.equal(binary.channel, 'other')
  const structured = decodeMessage({ body: '{}', contentType: 'application/cloudevents+json' }, types)
  assert.equal(structured.attributes, null)
  assert.equal(decodeMessage({ body: { parsed: true } }, new Set(['only'])).channel, 'only')
})

test('attributes of other types of AMQP are written as CloudEvents has them', () => {
  const time = Date.UTC(2026, 10, 26)
  const read = (more: NonNullable<Parameters<typeof decodeMessage>[0]['applicationProperties']>) =>
    decodeMessage({ body: '', applicationProperties: { cloudEvents_specversion: '1.0', ...more } }, types).attributes
  for (const value of [new Date(time), time])
    assert.equal(read({ 'cloudEvents:time': value })!['time'], '2026-11-26T00:00:00.000Z')
  const others = read({ cloudEvents_count: 7, cloudEvents_paid: true, cloudEvents_token: Buffer.from('abc') as never })
  assert.deepEqual(others, { specversion: '1.0', count: '7', paid: 'true', token: 'YWJj' })
  assert.deepEqual(read({ cloudEvents_time: 1e300 }), { specversion: '1.0', time: '1e+300' })
})

test('a key has one session, few or its own, and ids that are too long are replaced by their hash', () => {
  const of = (key: string, sessions: number | 'key') =>
    encodeMessage({ event: eventOf({ key }), dedupeId: 'x'.repeat(200) }, { ...settings, sessions })
  const spread = new Set(Array.from({ length: 500 }, (_, n) => of(`o-${n}`, 8).sessionId))
  assert.equal(spread.size, 8)
  assert.equal(of('o-1', 8).sessionId, of('o-1', 8).sessionId)
  assert.equal(of('o-1', 'key').sessionId, 'o-1')
  assert.match(of('', 'key').sessionId!, /^[0-9a-f]{64}$/)
  assert.match(String(of('o-1', 8).messageId), /^[0-9a-f]{64}$/)
})

test('patterns on fields that are sent along become rules; others let their type in', () => {
  const rules = (patterns: Parameters<typeof rulesFor>[0][number]['patterns']) =>
    rulesFor([{ type: 'a', patterns }], ['status', 'card.kind']).map(({ filter }) => filter)
  assert.deepEqual(rules(null), [{ subject: 'a' }])
  assert.deepEqual(rules([{ status: 'failed' }, { card: { kind: 'debit' } }]), [
    { sqlExpression: "sys.Label = 'a' AND ([data_status] = 'failed' OR NOT EXISTS([data_status]))" },
    { sqlExpression: "sys.Label = 'a' AND ([data_card.kind] = 'debit' OR NOT EXISTS([data_card.kind]))" },
  ])
  const [quoted] = rulesFor([{ type: "it's", patterns: [{ 'a]': "'" }] }], ['a]'])
  assert.deepEqual(quoted!.filter, {
    sqlExpression: "sys.Label = 'it''s' AND ([data_a]]] = '''' OR NOT EXISTS([data_a]]]))",
  })
  const unusable: Pattern[] = [
    { other: 1 },
    { status: null },
    {},
    { 'card.kind': 'debit' },
    { status: 'two\nlines' },
    { status: 'x'.repeat(1_000) },
  ]
  for (const pattern of unusable) assert.deepEqual(rules([pattern]), [{ subject: 'a' }])
  const names = rulesFor(
    [
      { type: 'a', patterns: [{ status: 'x' }, { status: 'y' }] },
      { type: 'x'.repeat(200), patterns: null },
    ],
    ['status'],
  ).map(({ name }) => name)
  assert.equal(new Set(names).size, 3)
  for (const name of names) assert.equal(name.length <= 50, true)
})

test('names of subscriptions are of the characters that Service Bus takes', () => {
  assert.equal(subscriptionName('payments.eu-1'), 'payments.eu-1')
  assert.notEqual(subscriptionName('a_b'), subscriptionName('a b'))
  for (const name of ['a_b', 'a b', 'ä/🎉']) assert.match(subscriptionName(name), /^[A-Za-z0-9._-]+$/)
})

test('options that make no sense are refused', () => {
  const wrong: Partial<ServiceBusOptions>[] = [
    { connectionString: undefined as never },
    { connectionString: '' },
    { connectionString: 'shop.servicebus.windows.net' },
    { connectionString: 'Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKey=secret' },
    { connectionString: undefined as never, namespace: 'shop.servicebus.windows.net' },
    { topic: '' },
    { sessions: 0 },
    { sessions: 1.5 },
    { sessions: 1_001 },
    { receivers: 0 },
    { lock: '4s' },
    { lock: '6m' },
    { dedupe: '10s' },
    { dedupe: '8d' },
    { recievers: 3 } as object,
  ]
  for (const options of wrong)
    assert.throws(
      () => serviceBus({ connectionString, ...options }),
      (error) => isQuadrilleError(error, 'OPTION_INVALID') && !error.message.includes('secret'),
      JSON.stringify(options),
    )
})
