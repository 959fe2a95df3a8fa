/** How events look on NATS. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { headers } from '@nats-io/transport-node'
import {
  consumerName,
  decodeHeader,
  encodeHeader,
  fromNatsMessage,
  subjectOf,
  toNatsMessage,
} from '../src/nats-message.ts'
import { natsSettings } from '../src/nats-options.ts'
import { filterOf } from '../src/nats-topology.ts'

describe('headers, as the CloudEvents binding for NATS wants them', () => {
  it('are percent-encoded where the binding says so, and nowhere else', () => {
    assert.equal(encodeHeader('plain-value_1.0:/?'), 'plain-value_1.0:/?')
    assert.equal(encodeHeader('a b"c%d'), 'a%20b%22c%25d')
    assert.equal(encodeHeader('Łódź\r\n🎉'), '%C5%81%C3%B3d%C5%BA%0D%0A%F0%9F%8E%89')
  })

  it('come back as they were, also when half a character was in them', () => {
    for (const text of ['', 'a b"c%d', 'Łódź\r\n🎉', '100%']) assert.equal(decodeHeader(encodeHeader(text)), text)
    assert.equal(decodeHeader(encodeHeader('x\ud800y')), 'x\ufffdy')
  })

  it('that somebody else encoded badly are left as they are', () => assert.equal(decodeHeader('100%'), '100%'))
})

describe('what comes in', () => {
  const body = new TextEncoder().encode('{}')
  const read = (pairs: Record<string, string>) => {
    const written = headers()
    for (const [name, value] of Object.entries(pairs)) written.append(name, value)
    return fromNatsMessage(body, written).attributes
  }

  it('is binary when it has attributes, whatever the case of their names', () => {
    assert.deepEqual(read({ 'ce-specversion': '1.0', 'CE-Id': 'a%20b', other: 'x' }), { specversion: '1.0', id: 'a b' })
  })

  it('is structured when the content type says so, or when there are no attributes', () => {
    assert.equal(read({ 'Content-Type': 'application/cloudevents+json', 'ce-specversion': '1.0' }), null)
    assert.equal(read({ other: 'x' }), null)
    assert.equal(fromNatsMessage(body, undefined).attributes, null)
  })
})

describe('names', () => {
  it('of types that are no subjects are made ones, each a different one', () => {
    const types = ['order.created', 'a..b', 'a.', 'a', 'a...b']
    const subjects = types.map((type) => subjectOf('q', type))
    assert.deepEqual(subjects, ['q.order.created', 'q.a.~.b', 'q.a.~', 'q.a', 'q.a.~.~.b'])
  })

  it('of services have no dot in a consumer', () => assert.equal(consumerName('shop.orders'), 'shop~orders'))

  it('of several types are one filter for old servers, and exact ones for new servers', () => {
    const settings = natsSettings({ servers: 'x' })
    assert.deepEqual(filterOf(settings, ['a.b'], '2.9.10'), { filter_subject: 'quadrille.a.b' })
    assert.deepEqual(filterOf(settings, ['a.b', 'a.c'], '2.9.10'), { filter_subject: 'quadrille.a.>' })
    assert.deepEqual(filterOf(settings, ['a', 'a.c'], '2.9.10'), { filter_subject: 'quadrille.>' })
    assert.deepEqual(filterOf(settings, ['b', 'a.c'], '2.9.10'), { filter_subject: 'quadrille.>' })
    assert.deepEqual(filterOf(settings, ['b', 'a'], '2.10.0'), { filter_subjects: ['quadrille.a', 'quadrille.b'] })
    assert.deepEqual(filterOf(settings, ['b', 'a'], '3.0.0'), { filter_subjects: ['quadrille.a', 'quadrille.b'] })
  })
})

describe('a message', () => {
  const event = {
    id: 'e-1',
    type: 'order.created',
    version: 1,
    source: 'orders',
    key: 'Ł',
    correlationId: 'e-1',
    causationId: null,
    reaction: null,
    hops: 0,
    time: 0,
    traceparent: null,
    tracestate: null,
    data: '{"text":"Łódź"}',
    extensions: null,
    position: 7,
  }
  const textOf = (message: { headers: unknown }) =>
    new TextDecoder().decode((message.headers as { encode(): Uint8Array }).encode())

  it('counts its bytes as the server does', () => {
    const message = toNatsMessage('q', { event, dedupeId: 'e-1#1' })
    assert.equal(message.bytes, textOf(message).length + Buffer.byteLength(event.data))
    assert.match(textOf(message), /\r\nNats-Msg-Id: e-1#1\r\n/)
  })

  it('has the headers that it should have, whatever its id is', () => {
    const message = toNatsMessage('q', { event, dedupeId: 'e\r\nNats-Expected-Stream: other' })
    assert.doesNotMatch(textOf(message), /^Nats-Expected-Stream/m)
    assert.equal(message.bytes, textOf(message).length + Buffer.byteLength(event.data))
  })

  it('with an attribute that no header can carry is not sent', () => {
    const carried = (name: string) =>
      toNatsMessage('q', { event: { ...event, extensions: JSON.stringify({ [name]: 'x' }) }, dedupeId: 'e-1' }).problem
    assert.equal(carried('tenant'), null)
    for (const name of ['two words', 'a:b', 'a\r\nb', 'größe', '']) assert.match(carried(name)!, /can not stand/)
  })
})

describe('options', () => {
  const connection = (servers: string | string[]) => natsSettings({ servers }).connection

  it('take addresses with credentials, and never repeat them in an error', () => {
    assert.deepEqual(connection('nats://me:p%40ss@broker:4333').servers, ['broker:4333'])
    assert.equal(connection('nats://me:p%40ss@broker').pass, 'p@ss')
    assert.equal(connection('nats://s3cret@broker').token, 's3cret')
    assert.deepEqual(connection('tls://a, nats://b:1').tls, {})
    assert.deepEqual(connection(['a:1', 'nats://b']).servers, ['a:1', 'b:4222'])
    const bad = () => connection('nats://me:hidden@:4222:1')
    assert.throws(bad, { code: 'OPTION_INVALID' })
    assert.throws(bad, (error: Error) => !error.message.includes('hidden'))
  })

  it('that make no sense are refused', () => {
    const wrong = [
      { stream: 'a.b' },
      { prefix: 'a.>' },
      { ackWait: '10ms' },
      { heldMax: 1 },
      { replicas: 0 },
      { acKWait: '5s' },
    ] as const
    for (const options of wrong)
      assert.throws(() => natsSettings({ servers: 'x', ...options }), { code: 'OPTION_INVALID' })
    for (const servers of [undefined, [], 5])
      assert.throws(() => natsSettings({ servers: servers as never }), { code: 'OPTION_INVALID', message: /servers/ })
    assert.throws(() => natsSettings(undefined as never), { code: 'OPTION_INVALID' })
    assert.throws(() => natsSettings({ servers: 'x', maxAge: 'soon' as never }), { code: 'DURATION_INVALID' })
  })
})
