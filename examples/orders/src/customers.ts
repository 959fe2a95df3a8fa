/** Customers who place orders over HTTP, and who try again when the shop does not answer, with the same key. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { SampleOrder } from './sample-orders.ts'

/** How many customers can be waiting for an answer at once. */
const waitingMax = 16
const retryMs = 100

export interface Shopping {
  /** The shop's addresses: who finds one closed tries the next. */
  readonly apis: readonly [string, ...string[]]
  readonly orders: readonly SampleOrder[]
  /** How many orders a second; Infinity for as fast as the shop takes them. */
  readonly rate: number
  readonly signal: AbortSignal
  readonly onAccepted: (orderId: string) => void
}

/** Resolves when all orders are accepted, or when the signal is aborted. */
export async function goShopping({ apis, orders, rate, signal, onAccepted }: Shopping): Promise<void> {
  const began = performance.now()
  let next = 0
  async function customer(): Promise<void> {
    for (let index = next++; index < orders.length && !signal.aborted; index = next++) {
      const due = began + (index / rate) * 1000 - performance.now()
      if (due > 0) await sleep(due, undefined, { signal })
      const order = orders[index]!
      await placeOrder(apis, order, signal)
      onAccepted(order.orderId)
    }
  }
  try {
    await Promise.all(Array.from({ length: waitingMax }, customer))
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

/** A lost answer may mean a placed order or none. The key makes the second request the same as the first. */
async function placeOrder(
  apis: Shopping['apis'],
  { orderId, ...order }: SampleOrder,
  signal: AbortSignal,
): Promise<void> {
  const headers = { 'content-type': 'application/json', 'idempotency-key': orderId }
  const request = { method: 'POST', headers, body: JSON.stringify(order), signal }
  for (let tries = 0; ; tries++) {
    const response = await fetch(new URL('/orders', apis[tries % apis.length]), request).catch(() => undefined)
    if (response?.status === 202) return
    if (response && response.status < 500) throw new Error(`order refused: ${response.status} ${await response.text()}`)
    await sleep(retryMs, undefined, { signal })
  }
}
