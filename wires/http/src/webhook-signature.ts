/** Signatures of Standard Webhooks: HMAC-SHA256 over id, time and body, so that neither can be changed or sent again later. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

const keyBytesMin = 24

/** The key in a secret of Standard Webhooks (`whsec_` and base64); null when it is none. */
export function secretKey(secret: string): Uint8Array | null {
  const text = secret.startsWith('whsec_') ? secret.slice('whsec_'.length) : secret
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return null
  const key = Buffer.from(text, 'base64')
  return key.length >= keyBytesMin ? key : null
}

/** What is signed, and what it is checked with. */
export interface SignedWebhook {
  /** Names the message; the same on every retry. */
  readonly id: string
  /** Seconds since 1970. */
  readonly timestamp: number
  readonly body: Uint8Array
}

/** A name that can stand before the full stop that ends it in what is signed: other ids are replaced by their hash. */
export const webhookId = (id: string): string =>
  /^[\w-]{1,64}$/.test(id) ? id : `msg_${createHash('sha256').update(id).digest('base64url')}`

const digest = (key: Uint8Array, { id, timestamp, body }: SignedWebhook): Buffer =>
  createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest()

/** The value of `webhook-signature`: one signature for each key, so that keys can be changed without a gap. */
export function signWebhook(keys: readonly Uint8Array[], webhook: SignedWebhook): string {
  return keys.map((key) => `v1,${digest(key, webhook).toString('base64')}`).join(' ')
}

/** Whether one of the signatures is that of one of the keys. The time it takes does not tell how much of it was right. */
export function verifyWebhook(keys: readonly Uint8Array[], webhook: SignedWebhook, signatures: string): boolean {
  const given = signatures
    .split(' ')
    .filter((signature) => signature.startsWith('v1,'))
    .map((signature) => Buffer.from(signature.slice(3), 'base64'))
  const wanted = keys.map((key) => digest(key, webhook))
  return given.some((one) => wanted.some((other) => one.length === other.length && timingSafeEqual(one, other)))
}
