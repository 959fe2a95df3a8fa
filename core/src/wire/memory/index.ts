/** `quadrille/memory`: a broker in the memory of one process, for tests, examples and simulations. */
import { durationMs, QuadrilleError, systemEnv, type Duration } from '../../base/index.ts'
import type { Wire } from '../wire.ts'
import { Broker } from './memory-broker.ts'
import { MemoryWire } from './memory-wire.ts'

/** Options of {@link memoryHub}. */
export interface MemoryHubOptions {
  /** How many messages are kept; older ones are dropped, received or not. Default 100,000. */
  readonly keep?: number
  /** The most messages of a delivery. Default 200. */
  readonly batchMax?: number
  /** For how long the messages of a receiver that has died stay locked. Default '2s'. */
  readonly lock?: Duration
  /** For how long a repeated dedupe id is dropped. Default 0. */
  readonly dedupe?: Duration
  /** The largest message, attributes included. Default: any. */
  readonly messageBytesMax?: number
  /** Whether an event for which nobody has subscribed is an error. Default false. */
  readonly reportsUnroutable?: boolean
}

/** A broker in memory, and what a test can do to it. */
export interface MemoryHub {
  /** A wire to this hub; each app needs one of its own. The name is `memory` unless another is given. */
  wire(name?: string): Wire
  /** Puts bytes where events of this type go, as a broken or foreign sender would. */
  inject(type: string, body: Uint8Array, attributes?: Readonly<Record<string, string>>): void
  /** Ends a wire as kill -9 would end its process: nothing acknowledged, no farewell. */
  crash(wire: Wire): void
  /** Nothing passes this wire any more, while it stays connected. Returns the way back. */
  freeze(wire: Wire): () => void
  /** The broker is away; what it has is kept. Returns the way back. */
  switchOff(): () => void
  /** Removes the subscription of a service. */
  removeSubscription(service: string): void
  /** Forgets all messages, received or not. */
  dropAll(): void
  /** How many messages are in the hands of receivers of the service. */
  outstanding(service: string): number
}

/**
 * A broker in memory. It keeps order per key, shares the work between receivers of a service, delivers again what was
 * not acknowledged, and applies patterns; what it holds ends with the process.
 *
 * @example
 * ```ts run
 * import { event, service, start } from 'quadrille'
 * import { memoryHub } from 'quadrille/memory'
 * import * as z from 'zod'
 *
 * const Greeted = event('greeted', { key: 'name', schema: z.object({ name: z.string() }) })
 * const hub = memoryHub()
 * const heard = Promise.withResolvers<string>()
 * const ears = service('ears').on(Greeted, ({ name }) => heard.resolve(name))
 * const mouth = service('mouth')
 * const there = await start({ services: [ears], wires: [hub.wire()] })
 * const here = await start({ services: [mouth], wires: [{ wire: hub.wire(), sends: [Greeted] }] })
 * await here.transact(mouth, () => Greeted({ name: 'Ada' }))
 * await heard.promise // => 'Ada'
 * await here.stop()
 * await there.stop()
 * ```
 */
export function memoryHub(options: MemoryHubOptions = {}): MemoryHub {
  const broker = new Broker({
    keep: options.keep ?? 100_000,
    batchMax: options.batchMax ?? 200,
    lockMs: durationMs(options.lock ?? '2s', 'lock'),
    dedupeMs: durationMs(options.dedupe ?? 0, 'dedupe'),
    messageBytesMax: options.messageBytesMax ?? null,
    reportsUnroutable: options.reportsUnroutable ?? false,
  })
  const own = (wire: Wire): MemoryWire => {
    if (wire instanceof MemoryWire) return wire
    throw new QuadrilleError('OPTION_INVALID', { option: 'wire', value: wire.name, expected: 'a wire of this hub' })
  }
  return {
    wire: (name = 'memory') => new MemoryWire(name, broker),
    inject: (type, body, attributes) =>
      broker.append(
        { type, key: '', message: { attributes: attributes ?? null, body, channel: type }, dedupeId: null },
        systemEnv,
      ),
    crash: (wire) => own(wire).crash(),
    freeze: (wire) => own(wire).freeze(),
    switchOff() {
      broker.turn(false)
      return () => broker.turn(true)
    },
    removeSubscription(service) {
      const group = broker.groups.get(service)
      broker.groups.delete(service)
      broker.forgotten.add(service)
      group?.wake()
    },
    dropAll: () => broker.dropAll(),
    outstanding: (service) => broker.groups.get(service)?.outstanding ?? 0,
  }
}
