/** Quadrille over Redis Streams. See docs/wires/redis.md. */
import type { Wire } from 'quadrille'
import type { RedisOptions } from './redis-options.ts'
import { RedisWire } from './redis-wire.ts'

export type { RedisOptions } from './redis-options.ts'

/**
 * A wire over Redis Streams, server 7.0 or newer: one stream for all events, one consumer group for each service.
 *
 * What `send` has resolved for is as durable as the server is: with `appendonly yes` and `appendfsync always` it is on
 * the disk; with anything less, acknowledged events can be lost with the server. Order per key holds while one process at
 * a time receives for a service. The stream is trimmed only below what every service has acknowledged.
 *
 * @throws QuadrilleError `WIRE_INCOMPATIBLE` or `DURATION_INVALID` for options that make no sense.
 *
 * @example
 * ```ts
 * const wire = redis({ url: 'redis://localhost:6379' })
 * ```
 */
export function redis(options: RedisOptions): Wire {
  return new RedisWire(options)
}
