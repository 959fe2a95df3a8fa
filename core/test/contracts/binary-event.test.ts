import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromBinaryEvent, isQuadrilleError, toBinaryEvent, type EventRecord } from 'quadrille'

const event: EventRecord = {
  id: '0198',
  type: 'order.created',
  version: 2,
  source: 'orders',
  key: 'o-ä',
  correlationId: '0198',
  causationId: null,
  reaction: null,
  hops: 3,
  time: Date.UTC(2026, 10, 26),
  traceparent: null,
  tracestate: null,
  data: '{ "orderId":"o-ä" }',
  extensions: '{"tenant":"t1","retries":2}',
  position: 7,
}
const body = (text: string) => new TextEncoder().encode(text)

test('an event in binary mode comes back as it was, its payload to the byte', () => {
  const { attributes, data } = toBinaryEvent(event)
  assert.equal(attributes['dataversion'], '2')
  assert.equal(attributes['sequence'], '00000000000000000007')
  assert.equal('causationid' in attributes, false)
  const { position: _position, ...sent } = event
  assert.deepEqual(fromBinaryEvent(attributes, body(data)), { ...sent, extensions: '{"tenant":"t1","retries":"2"}' })
})

test('an attribute that is null is not set: binary mode has no header for it', () => {
  const { attributes } = toBinaryEvent({ ...event, extensions: '{"subject":null,"tenant":"t1","flag":false}' })
  assert.equal('subject' in attributes, false)
  assert.equal(attributes['tenant'], 't1')
  assert.equal(attributes['flag'], 'false')
})

test('extensions never take the place of an attribute or of the data', () => {
  const hostile = { ...event, extensions: '{"id":"other","data":"x","__proto__":"y"}' }
  const { attributes } = toBinaryEvent(hostile)
  assert.equal(attributes['id'], event.id)
  assert.equal('data' in attributes, false)
  assert.equal(Object.getPrototypeOf(attributes), Object.prototype)
})

for (const [what, attributes, data] of [
  ['a payload that is not JSON', toBinaryEvent(event).attributes, 'nonsense'],
  ['a payload that is not UTF-8', toBinaryEvent(event).attributes, Uint8Array.of(0x22, 0xff, 0x22)],
  ['no id', { ...toBinaryEvent(event).attributes, id: '' }, '{}'],
  ['no specversion', { id: '1', type: 't', source: 's' }, '{}'],
  ['a key with a NUL character', { ...toBinaryEvent(event).attributes, partitionkey: 'a\u0000' }, '{}'],
  ['hops that are no number', { ...toBinaryEvent(event).attributes, hops: 'many' }, '{}'],
  ['another content type', { ...toBinaryEvent(event).attributes, datacontenttype: 'text/plain' }, '{}'],
] as const)
  test(`${what} is undecodable`, () => {
    assert.throws(
      () => fromBinaryEvent(attributes, typeof data === 'string' ? body(data) : data),
      (error) => isQuadrilleError(error, 'EVENT_UNDECODABLE'),
    )
  })
