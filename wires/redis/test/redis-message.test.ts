/** How events look in a stream. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { numbered } from '@quadrille/brokers/wire-load'
import { fromBinaryEvent } from 'quadrille'
import { compareIds, entriesOf, toRedisMessage } from '../src/redis-message.ts'
import { redisSettings } from '../src/redis-options.ts'

const entry = (fields: Record<string, string>) =>
  entriesOf([
    [
      Buffer.from('1-0'),
      Object.entries(fields)
        .flat()
        .map((text) => Buffer.from(text)),
    ],
  ])[0]!.message

describe('entries', () => {
  it('carry an event in binary mode, and bring it back', () => {
    const [event] = numbered(1, 7, { key: 'Łódź', extensions: '{"tenant":"blue"}' })
    const { bytes, ...fields } = toRedisMessage({ event: event!, dedupeId: 'd' })
    assert.equal(bytes, Buffer.byteLength(Object.values(fields).join('')))
    const { attributes, body, channel } = entry(fields)
    const { position: _, ...sent } = event!
    assert.deepEqual(fromBinaryEvent(attributes!, body), sent)
    assert.equal(channel, 'a')
  })

  it('of others may have a field for each attribute', () => {
    const attributes = { specversion: '1.0', id: 'i', type: 'a', source: 's' }
    const fields = Object.entries(attributes).map(([name, text]) => [`ce_${name}`, text])
    const message = entry({ data: '{}', ...Object.fromEntries(fields) })
    assert.deepEqual({ ...message, body: String(message.body) }, { attributes, body: '{}', channel: 'a' })
  })

  it('whose attributes can not be read keep them as they are', () => {
    for (const ce of ['{"id":', '["id"]', 'null', '7'])
      assert.deepEqual(entry({ type: 'a', data: 'x', ce }).attributes, { ce })
    assert.deepEqual(entry({ type: 'a', data: 'x', ce: '{"id":7}' }).attributes, { id: 7 })
  })

  it('of others are handed on as their data, under their type', () => {
    const { attributes, body, channel } = entry({ type: 'order.created', data: '{"specversion":"1.0"}' })
    assert.deepEqual([attributes, String(body), channel], [null, '{"specversion":"1.0"}', 'order.created'])
    assert.deepEqual(entry({ other: 'x' }), { attributes: null, body: Buffer.alloc(0), channel: '' })
  })

  it('that were deleted are left out', () => assert.deepEqual(entriesOf([[Buffer.from('1-0'), null]]), []))

  it('are ordered by both numbers of their ids', () => {
    const ids = ['10-0', '9-12', '9-3', '9-18446744073709551615', '9-18446744073709551614']
    const sorted = ['9-3', '9-12', '9-18446744073709551614', '9-18446744073709551615', '10-0']
    assert.deepEqual(ids.toSorted(compareIds), sorted)
  })
})

describe('options', () => {
  it('that make no sense are refused, without repeating a password', () => {
    const bad = () => redisSettings({ url: 'http://me:hidden@b' })
    assert.throws(bad, { code: 'OPTION_INVALID' })
    assert.throws(bad, (error: Error) => !error.message.includes('hidden'))
    for (const options of [
      { prefix: 'a{b' },
      { lease: '10ms' },
      { heldMax: 1 },
      { heldMax: 4_001 },
      { leas: '5s' },
    ] as const)
      assert.throws(() => redisSettings({ url: 'redis://b', ...options }), { code: 'OPTION_INVALID' })
    for (const url of [undefined, 5])
      assert.throws(() => redisSettings({ url: url as never }), { code: 'OPTION_INVALID', message: /url/ })
  })
})
