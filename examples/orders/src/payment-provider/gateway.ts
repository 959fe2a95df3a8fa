/**
 * What the payment service knows of the provider. An answer is a value, also when the card was declined. No answer (an
 * error of the provider, a lost connection, a timeout) is thrown: then nobody knows whether the money has moved, and
 * the only right thing is to ask again with the same idempotency key.
 */
import { NonRetryable } from 'quadrille'
import * as z from 'zod'
import { toMinor } from '../money.ts'

const charged = z.discriminatedUnion('status', [
  z.object({ status: z.literal('succeeded'), chargeId: z.string() }),
  z.object({ status: z.literal('declined'), chargeId: z.string(), reason: z.string() }),
])
const refunded = z.object({ refundId: z.string() })

export type Charged = z.infer<typeof charged>
export type Refunded = z.infer<typeof refunded>

interface Asking {
  readonly idempotencyKey: string
  readonly signal: AbortSignal
}

export interface Gateway {
  charge(payment: Asking & { orderId: string; customerId: string; amount: number }): Promise<Charged>
  refund(payment: Asking & { chargeId: string; amount: number }): Promise<Refunded>
}

/** Talks to the provider at this address. Connects when it is asked for something, not before. */
export function httpGateway(baseUrl: string): Gateway {
  async function post(path: string, body: object, { idempotencyKey, signal }: Asking): Promise<unknown> {
    const headers = { 'content-type': 'application/json', 'idempotency-key': idempotencyKey }
    const response = await fetch(new URL(path, baseUrl), {
      method: 'POST',
      headers,
      signal,
      body: JSON.stringify(body),
    })
    if (response.ok) return response.json()
    const problem = `the payment provider answered ${response.status} to ${path}`
    // 4xx: our request itself is wrong, and will be wrong again. A person has to look at it.
    throw response.status < 500 ? new NonRetryable(problem) : new Error(problem)
  }
  return {
    async charge({ orderId, customerId, amount, ...asking }) {
      return charged.parse(await post('/charges', { orderId, customerId, amountMinor: toMinor(amount) }, asking))
    },
    async refund({ chargeId, amount, ...asking }) {
      return refunded.parse(await post('/refunds', { chargeId, amountMinor: toMinor(amount) }, asking))
    },
  }
}
