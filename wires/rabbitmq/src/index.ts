/** Quadrille over RabbitMQ. See docs/wires/rabbitmq.md. */
import type { Wire } from 'quadrille'
import type { RabbitOptions } from './rabbit-options.ts'
import { RabbitWire } from './rabbit-wire.ts'

export type { RabbitOptions } from './rabbit-options.ts'

/**
 * A wire over RabbitMQ 3.10 or newer: one topic exchange, one quorum queue for each service.
 *
 * What `send` has resolved for is on the disks of a majority of the queue's servers. Order per key holds with any number
 * of receivers, because one of them at a time gets messages. An event that no service wants is an error. A subscription
 * starts now: what was sent before its queue existed is gone. Everything at the broker is made when it is missing, and
 * never emptied or removed.
 *
 * @throws QuadrilleError `WIRE_INCOMPATIBLE` or `DURATION_INVALID` for options that make no sense.
 *
 * @example
 * ```ts
 * const wire = rabbitmq({ url: 'amqp://localhost' })
 * ```
 */
export function rabbitmq(options: RabbitOptions): Wire {
  return new RabbitWire(options)
}
