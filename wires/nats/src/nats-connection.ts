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
  readonly protocol: { readonly transport: { discard(): void } }
}

/**
 * Closes it, also while the client is connecting again: it would wait for the first word of a server that is frozen without a limit
 * then, and keep the process.
 */
export async function closeConnection(connection: NatsConnection): Promise<void> {
  await connection.close()
  ;(connection as NatsConnection & WithTransport).protocol.transport.discard()
}
