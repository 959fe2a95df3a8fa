/** How events look on RabbitMQ. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Message } from 'amqplib'
import { numbered } from '@quadrille/brokers/wire-load'
import { fromRabbitMessage, toRabbitMessage } from '../src/rabbit-message.ts'
import { rabbitSettings } from '../src/rabbit-options.ts'

const read = (headers: Record<string, unknown>, contentType?: string) =>
  fromRabbitMessage({
    content: Buffer.from('{}'),
    properties: { headers, contentType },
    fields: { routingKey: 'order.created' },
  } as unknown as Message)

describe('what goes out', () => {
  const [event] = numbered(1)

  it('is binary: attributes in headers, the content type where AMQP has a place for it', () => {
    const { body, options } = toRabbitMessage({ event: event!, dedupeId: 'd' }, 'cloudEvents_')
    assert.equal(body.toString(), event!.data)
    assert.equal(options.contentType, 'application/json')
    assert.equal(options.headers.cloudEvents_id, event!.id)
    assert.equal(options.headers.cloudEvents_specversion, '1.0')
    assert.ok(!('cloudEvents_datacontenttype' in options.headers))
    assert.equal(options.persistent && options.mandatory, true)
    assert.equal(toRabbitMessage({ event: event!, dedupeId: 'd' }, 'ce-').options.headers['ce-id'], event!.id)
  })

  it('has a message id that AMQP takes, and its own id whatever it is', () => {
    const written = (id: string) => toRabbitMessage({ event: { ...event!, id }, dedupeId: id }, 'ce-').options
    assert.equal(written('x'.repeat(255)).messageId, 'x'.repeat(255))
    for (const id of ['x'.repeat(256), 'é'.repeat(128)]) {
      const { messageId, headers } = written(id)
      assert.match(messageId!, /^[0-9a-f]{64}$/)
      assert.equal(headers['ce-id'], id)
    }
    assert.notEqual(written('é'.repeat(200)).messageId, written(`${'é'.repeat(200)}#1`).messageId)
  })

  it('is refused when its attributes do not fit into a frame', () => {
    const extensions = JSON.stringify({ large: 'x'.repeat(120_000) })
    const { problem } = toRabbitMessage({ event: { ...event!, extensions }, dedupeId: 'd' }, 'cloudEvents_')
    assert.match(problem!, /120\d+ bytes/)
  })
})

describe('what comes in', () => {
  it('is binary with any of the usual prefixes', () => {
    for (const prefix of ['cloudEvents_', 'cloudEvents:', 'ce-']) {
      const { attributes, channel } = read({ [`${prefix}specversion`]: '1.0', [`${prefix}Id`]: 'a', other: 'x' })
      assert.deepEqual(attributes, { specversion: '1.0', id: 'a' })
      assert.equal(channel, 'order.created')
    }
  })

  it('may have numbers and timestamps, and its content type beside the headers', () => {
    const time = { '!': 'timestamp', value: 1_700_000_000 }
    assert.deepEqual(read({ 'ce-specversion': '1.0', 'ce-hops': 3, 'ce-time': time }, 'application/json').attributes, {
      specversion: '1.0',
      hops: '3',
      time: '2023-11-14T22:13:20.000Z',
      datacontenttype: 'application/json',
    })
  })

  it('is structured when the content type says so, and nothing when there are no attributes', () => {
    assert.equal(read({ 'ce-specversion': '1.0' }, 'application/cloudevents+json; charset=utf-8').attributes, null)
    assert.equal(read({ other: 1 }).attributes, null)
  })
})

describe('options', () => {
  it('take addresses with credentials, and never repeat them in an error', () => {
    const [first, second] = rabbitSettings({ url: ['amqps://me:p%40ss@a/shop%2Feu', 'amqp://b:5673'] }).urls
    assert.deepEqual(
      [first!.protocol, first!.username, first!.password, first!.vhost, first!.port],
      ['amqps', 'me', 'p@ss', 'shop/eu', undefined],
    )
    assert.deepEqual([second!.hostname, second!.port, second!.vhost, second!.username], ['b', 5673, '/', undefined])
    const bad = () => rabbitSettings({ url: 'http://me:hidden@b' })
    assert.throws(bad, { code: 'OPTION_INVALID' })
    assert.throws(bad, (error: Error) => !error.message.includes('hidden'))
  })

  it('ask the management API as the user of the broker, or as another one', () => {
    const of = (url: string, management: string) => {
      const { address, authorization, vhost } = rabbitSettings({ url, management }).management!
      return [address, atob(authorization.slice('Basic '.length)), vhost]
    }
    assert.deepEqual(of('amqp://b', 'http://b:15672'), ['http://b:15672', 'guest:guest', '/'])
    assert.deepEqual(of('amqp://me:p%40ss@b/shop', 'https://b/mq/'), ['https://b/mq', 'me:p@ss', 'shop'])
    assert.deepEqual(of('amqp://me:p@b', 'http://you:q%2Fr@b'), ['http://b', 'you:q/r', '/'])
    assert.equal(rabbitSettings({ url: 'amqp://b' }).management, null)
    const bad = () => rabbitSettings({ url: 'amqp://b', management: 'ftp://me:hidden@b' })
    assert.throws(bad, (error: Error) => !error.message.includes('hidden'))
  })

  it('that make no sense are refused', () => {
    const wrong = [{ exchange: 'amq.topic' }, { exchange: 'a b' }, { heldMax: 1 }, { heldMax: 65_536 }]
    for (const options of [...wrong, { messageBytesMax: Number.NaN }, { headers: 'x' as never }, { heldMaximum: 5 }])
      assert.throws(() => rabbitSettings({ url: 'amqp://b', ...options }), { code: 'OPTION_INVALID' })
    for (const management of ['amqp://b', '', 5 as never])
      assert.throws(() => rabbitSettings({ url: 'amqp://b', management }), { code: 'OPTION_INVALID' })
    for (const url of [undefined, [], 5])
      assert.throws(() => rabbitSettings({ url: url as never }), { code: 'OPTION_INVALID', message: /url/ })
    assert.throws(() => rabbitSettings({ url: 'amqp://b', heartbeat: '100ms' }), { code: 'OPTION_INVALID' })
  })
})
