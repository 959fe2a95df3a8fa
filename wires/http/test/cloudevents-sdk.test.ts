/** Interoperability with the SDK of CloudEvents, in both directions and all modes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CloudEvent, HTTP, type CloudEventV1, type Headers as SdkHeaders } from 'cloudevents'
import { cloudEventText, fromBinaryEvent, fromCloudEvent, type NewEvent } from 'quadrille'
import { decodeRequest, encodeBatch, encodeBinary, encodeStructured } from '../src/http-binding.ts'
import { eventOf } from './http-setup.ts'

const full = eventOf({
  id: '0198-ä',
  key: 'Łódź "1" 100%',
  version: 3,
  causationId: 'cause',
  hops: 4,
  reaction: 'charge',
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  data: '{"text":"Grüße, 世界, 🎉","n":1}',
  extensions: '{"tenant":"blue"}',
})
const text = (body: Uint8Array) => new TextDecoder().decode(body)

function same(event: CloudEventV1<unknown>): void {
  assert.equal(event.id, full.id)
  assert.equal(event.type, full.type)
  assert.equal(event.source, full.source)
  assert.equal(event['partitionkey'], full.key)
  assert.equal(String(event['hops']), '4')
  assert.equal(event['tenant'], 'blue')
  assert.equal(event['traceparent'], full.traceparent)
  assert.deepEqual(event.data, JSON.parse(full.data))
}

test('the SDK reads what is sent in structured mode', () => {
  const { headers, body } = encodeStructured(full)
  same(HTTP.toEvent({ headers, body: text(body) }) as CloudEventV1<unknown>)
})

test('the SDK reads what is sent in binary mode', () => {
  const { headers, body } = encodeBinary(full)
  for (const value of Object.values(headers)) assert.match(value, /^[\x20-\x7e]*$/)
  // The SDK leaves the values of headers encoded, against the binding: that is undone here.
  const decoded = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, name.startsWith('ce-') ? decodeURIComponent(value) : value]),
  )
  same(HTTP.toEvent({ headers: decoded, body: text(body) }) as CloudEventV1<unknown>)
})

test('the SDK reads what is sent in batch mode', () => {
  const { headers, body } = encodeBatch([cloudEventText(full), cloudEventText(eventOf({ id: 'second' }))])
  const events = HTTP.toEvent({ headers, body: text(body) }) as CloudEventV1<unknown>[]
  assert.equal(events.length, 2)
  same(events[0]!)
  assert.equal(events[1]!.id, 'second')
})

const theirs = new CloudEvent({
  id: 'e-1',
  type: 'order.created',
  source: '/shop',
  time: '2026-11-26T10:00:00.000Z',
  subject: 'o-7',
  datacontenttype: 'application/json',
  data: { total: 12.5, name: 'Ada' },
  tenant: 'blue',
})
const headersOf = (headers: SdkHeaders): Headers =>
  new Headers(Object.entries(headers).filter((entry): entry is [string, string] => typeof entry[1] === 'string'))

function read(headers: SdkHeaders, body: string): NewEvent[] {
  const decoded = decodeRequest(headersOf(headers), new TextEncoder().encode(body))
  assert.ok('messages' in decoded, JSON.stringify(decoded))
  for (const { channel } of decoded.messages) assert.equal(channel, 'order.created')
  return decoded.messages.map(({ attributes, body: bytes }) =>
    attributes ? fromBinaryEvent(attributes, bytes) : fromCloudEvent(bytes),
  )
}

function sameAsTheirs(event: NewEvent): void {
  assert.equal(event.id, 'e-1')
  assert.equal(event.source, '/shop')
  assert.equal(event.key, 'o-7')
  assert.equal(event.time, Date.UTC(2026, 10, 26, 10))
  assert.deepEqual(JSON.parse(event.data), { total: 12.5, name: 'Ada' })
  assert.equal((JSON.parse(event.extensions!) as { tenant: string }).tenant, 'blue')
}

for (const mode of ['structured', 'binary'] as const)
  test(`what the SDK sends in ${mode} mode is read`, () => {
    const { headers, body } = HTTP[mode](theirs)
    const [event, ...more] = read(headers, body as string)
    assert.equal(more.length, 0)
    sameAsTheirs(event!)
  })

test('a batch of events of the SDK is read', () => {
  const body = JSON.stringify([theirs, theirs.cloneWith({ id: 'e-2' })])
  const [first, second] = read({ 'content-type': 'application/cloudevents-batch+json' }, body)
  sameAsTheirs(first!)
  assert.equal(second!.id, 'e-2')
})

test('the data of an event stand in its structured text as they were sent', () => {
  const data = '{ "n": 1.0, "big": 12345678901234567890 }'
  assert.equal(cloudEventText(eventOf({ data })).endsWith(`,"data":${data}}`), true)
})
