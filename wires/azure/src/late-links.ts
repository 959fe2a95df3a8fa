/**
 * What the SDK leaves behind when a connection is lost, and how to live with it. It offers no place for either; so this
 * reaches for the connection below it, and does nothing where a version has none.
 *
 * A link that the SDK gave up (an accept that took too long) may be answered late, and ended by Service Bus with an error
 * when its lock runs out. Nobody listens to it any more, and an error event without a listener ends the process. And a
 * client that is closed while its connection is away goes on connecting for ever.
 */
import type { ServiceBusClient } from '@azure/service-bus'
import type { Logger } from 'quadrille'

interface Emitter {
  on(event: 'error', listener: (error: unknown) => void): unknown
}

interface Connection {
  readonly container?: Emitter
  readonly socket?: { destroy?(): void }
  set_reconnect?(reconnect: boolean): void
}

interface Internals {
  readonly _connectionContext?: { readonly connection?: { readonly _connection?: Connection } }
}

/** All connections of a process share one emitter. */
const heard = new WeakSet<Emitter>()

const connectionOf = (client: ServiceBusClient): Connection | undefined =>
  (client as unknown as Internals)._connectionContext?.connection?._connection

/** Listens to what nobody else does, from now on. */
export function hearLateLinks(client: ServiceBusClient, log: Logger): void {
  const container = connectionOf(client)?.container
  if (!container || heard.has(container)) return
  heard.add(container)
  container.on('error', (error) => log.debug({ error: String(error) }, 'a link that was given up has ended'))
}

/** Ends the connection of a client that could not be closed in order. */
export function hangUp(client: ServiceBusClient): void {
  const connection = connectionOf(client)
  connection?.set_reconnect?.(false)
  connection?.socket?.destroy?.()
}
