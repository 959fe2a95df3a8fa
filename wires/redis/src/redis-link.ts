/** A connection to Redis that comes back by itself, and never waits for ever. */
import { Redis } from 'ioredis'
import { QuadrilleError } from 'quadrille'
import type { RedisSettings } from './redis-options.ts'

const retryMsMin = 50
const retryMsMax = 1_000

/** What is told about a connection. */
export interface LinkEvents {
  lost(why: string): void
  restored(): void
}

/** Opens a connection. The first attempt must succeed; afterwards it is tried again for ever. */
export async function openRedis(settings: RedisSettings, events: LinkEvents): Promise<Redis> {
  const client = new Redis(settings.url, {
    ...settings.connection,
    lazyConnect: true,
    protocol: 2,
    connectTimeout: settings.timeoutMs,
    // Without an answer for so long the connection is taken for dead, and opened anew.
    socketTimeout: settings.timeoutMs,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (attempt) => Math.min(retryMsMax, retryMsMin * attempt),
  })
  let why = 'the connection was closed'
  client.on('error', (error: Error) => (why = error.message))
  try {
    await client.connect()
  } catch (error) {
    client.disconnect()
    const message = error instanceof Error ? error.message : String(error)
    throw new QuadrilleError('WIRE_UNREACHABLE', { wire: settings.name, message: why || message }, error)
  }
  let up = true
  client.on('close', () => {
    if (up) events.lost(why)
    up = false
  })
  client.on('ready', () => {
    up = true
    events.restored()
  })
  return client
}
