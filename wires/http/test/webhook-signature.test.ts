/** Signatures, beside the library of Standard Webhooks itself. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Webhook } from 'standardwebhooks'
import { signWebhook, verifyWebhook } from '@quadrille/http'
import { secretKey, webhookId } from '../src/webhook-signature.ts'

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const other = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const [key, otherKey] = [secretKey(secret)!, secretKey(other)!]
const body = Buffer.from('{"text":"Grüße"}')
const now = () => Math.floor(Date.now() / 1000)

test('the library of Standard Webhooks accepts our signatures', () => {
  const webhook = { id: 'msg_1', timestamp: now(), body }
  const headers = {
    'webhook-id': webhook.id,
    'webhook-timestamp': String(webhook.timestamp),
    'webhook-signature': signWebhook([otherKey, key], webhook),
  }
  assert.deepEqual(new Webhook(secret).verify(body, headers), { text: 'Grüße' })
  assert.throws(() => new Webhook(secret).verify(Buffer.from('{}'), headers))
})

test('we accept its signatures, with whichever of our keys', () => {
  const timestamp = now()
  const signature = new Webhook(secret).sign('msg_1', new Date(timestamp * 1000), body)
  const webhook = { id: 'msg_1', timestamp, body }
  assert.equal(verifyWebhook([otherKey, key], webhook, signature), true)
  assert.equal(verifyWebhook([key], webhook, `v1a,xyz v2,abc ${signature}`), true)
})

for (const [what, change] of [
  ['another body', { body: Buffer.from('{"text":"Grüsse"}') }],
  ['another id', { id: 'msg_2' }],
  ['another time', { timestamp: 1 }],
] as const)
  test(`a signature does not hold for ${what}`, () => {
    const webhook = { id: 'msg_1', timestamp: 1_674_087_231, body }
    const signature = signWebhook([key], webhook)
    assert.equal(verifyWebhook([key], { ...webhook, ...change }, signature), false)
    assert.equal(verifyWebhook([otherKey], webhook, signature), false)
    assert.equal(verifyWebhook([key], webhook, signature.slice(0, -2)), false)
    assert.equal(verifyWebhook([key], webhook, ''), false)
  })

test('a key has at least 24 bytes in base64', () => {
  assert.equal(secretKey(`whsec_${Buffer.alloc(24, 1).toString('base64')}`)?.length, 24)
  assert.equal(secretKey(`whsec_${Buffer.alloc(23, 1).toString('base64')}`), null)
  assert.equal(secretKey('whsec_not base64!'), null)
})

test('the id that is signed has no full stop, and differs where the ids differ', () => {
  assert.equal(webhookId('0198c1d2-aaaa'), '0198c1d2-aaaa')
  const ids = ['a.1', 'a#1', 'ä', 'x'.repeat(200), 'a.1 b', ''].map(webhookId)
  assert.equal(new Set(ids).size, ids.length)
  for (const id of ids) assert.match(id, /^[\w-]{1,64}$/)
})
