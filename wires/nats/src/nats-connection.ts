/** Connections to the server: how they are opened, and how they end in every state. */
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { QuadrilleError } from 'quadrille'
import type { NatsSettings } from './nats-options.ts'

/** @throws QuadrilleError `WIRE_UNREACHABLE` when nobody answers, or does not let us in. */
export async function openConnection(settings: NatsSettings): Promise<NatsConnection> {
  try {
    return await connect({ name: 'quadrille', ...settings.connection })
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new QuadrilleError('WIRE_UNREACHABLE', { wire: settings.name, message }, error)
  }
}

/** What the client has, but not in its types. */
interface WithTransport {
  readonly protocol: { readonly transport: { discard(): void; readonly socket?: { destroy(): void } } }
}

const transportOf = (connection: NatsConnection) => (connection as NatsConnection & WithTransport).protocol.transport

/**
 * Closes it, also while the client is connecting again: it would wait for the first word of a server that is frozen without a limit
 * then, and keep the process.
 */
export async function closeConnection(connection: NatsConnection): Promise<void> {
  await connection.close()
  transportOf(connection).discard()
}

/**
 * Lets go of a connection that answers no pings any more (`staleConnection`), so that the client connects again: by itself it
 * waits first until all is written, which a server that reads nothing never lets happen while more is sent than sockets hold.
 */
export function dropConnection(connection: NatsConnection): void {
  transportOf(connection).socket?.destroy()
}
