/** One order as server-sent events: its status, the events of its conversation and what went wrong, as they happen. */
import type { SSEStreamingApi } from 'hono/streaming'
import type { OrderView } from './order-view.ts'

/** How often the conversation is looked at. Services may run in other processes, so there is nothing to be told by. */
const lookEveryMs = 200
const heartbeatMs = 15_000

/**
 * Sends `status` whenever the order's state changes, `event` and `note` for each new one, and `end` when no more can
 * come. A client that connects again gets everything again, from the beginning.
 */
export async function streamOrder(stream: SSEStreamingApi, look: () => Promise<OrderView | undefined>): Promise<void> {
  let lastStatus = ''
  let events = 0
  let notes = 0
  let silentMs = 0
  const send = async (event: string, data: unknown) => {
    silentMs = 0
    await stream.writeSSE({ event, data: JSON.stringify(data) })
  }
  while (!stream.aborted) {
    const view = await look()
    if (!view) return
    const { orderId, status, reason, steps, settled } = view
    for (const event of view.events.slice(events)) await send('event', event)
    for (const note of view.notes.slice(notes)) await send('note', note)
    events = view.events.length
    notes = view.notes.length
    const now = { orderId, status, reason, steps, settled }
    if (JSON.stringify(now) !== lastStatus) await send('status', now)
    lastStatus = JSON.stringify(now)
    if (settled) return send('end', { orderId, status })
    if (silentMs >= heartbeatMs) await send('heartbeat', {})
    await stream.sleep(lookEveryMs)
    silentMs += lookEveryMs
  }
}
