/** Quadrille over NATS JetStream. See docs/wires/nats.md. */
import type { Wire } from 'quadrille'
import type { NatsOptions } from './nats-options.ts'
import { NatsWire } from './nats-wire.ts'

export type { NatsOptions } from './nats-options.ts'

/**
 * A wire over NATS JetStream, server 2.9 or newer: one stream for all events, one durable consumer for each service.
 *
 * What `send` has resolved for is in the stream's file (as safe as the server's own syncing: see `sync_interval`). Order
 * per key holds while one process at a time receives for a service. Everything at the server is made when it is missing,
 * and never emptied or removed.
 *
 * @throws QuadrilleError `WIRE_INCOMPATIBLE` or `DURATION_INVALID` for options that make no sense.
 *
 * @example
 * ```ts
 * const wire = nats({ servers: 'nats://localhost:4222' })
 * ```
 */
export function nats(options: NatsOptions): Wire {
  return new NatsWire(options)
}
