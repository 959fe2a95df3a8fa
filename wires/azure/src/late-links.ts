/**
 * What the SDK leaves behind when a connection is lost, and how to live with it. It offers no place for either; so this
 * reaches for the connection below it, and does nothing where a version has none.
 *
 * A link that the SDK gave up (an accept that took too long) may be answered late, and ended by Service Bus with an error
 * when its lock runs out. Nobody listens to it any more, and an error event without a listener ends the process. A client
 * that is closed in order leaves the accepts that wait alone, each with a timer of a minute that keeps the process, and so
 * does one whose connection is lost with requests for tokens and completed messages; one that is closed while its
 * connection is away goes on connecting for ever.
 */
import type { ServiceBusClient, ServiceBusSessionReceiver } from '@azure/service-bus'
import { QuadrilleError, type Logger } from 'quadrille'

interface Emitter {
  on(event: 'error', listener: (error: unknown) => void): unknown
}

interface Connection {
  readonly container?: Emitter
  readonly socket?: { destroy?(error: Error): void }
  set_reconnect?(reconnect: boolean): void
}

interface Settling {
  readonly timer: NodeJS.Timeout
  readonly reject: (error: Error) => void
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

/**
 * Ends the connection of a client, so that everything that still waits for an answer ends too. False where it can not be
 * reached.
 */
export function hangUp(client: ServiceBusClient, wire: string): boolean {
  const connection = connectionOf(client)
  connection?.set_reconnect?.(false)
  if (!connection?.socket?.destroy) return false
  // Without an error the client would not notice.
  connection.socket.destroy(new QuadrilleError('WIRE_UNREACHABLE', { wire, message: 'it was closed' }))
  return true
}

/** Ends what waits for Service Bus to say that it has heard of completed messages, once their session is closed. */
export function forgetSettling(session: ServiceBusSessionReceiver): void {
  const { _messageSession } = session as unknown as {
    _messageSession?: { _deliveryDispositionMap?: Map<number, Settling> }
  }
  for (const { timer, reject } of _messageSession?._deliveryDispositionMap?.values() ?? []) {
    clearTimeout(timer)
    reject(new QuadrilleError('WIRE_UNREACHABLE', { wire: 'servicebus', message: 'the session is closed' }))
  }
  _messageSession?._deliveryDispositionMap?.clear()
}

/**
 * A signal for an accept, which breaks off its request for a token only. It never says that it is aborted: then the SDK
 * would close the link when it is open, and leave what becomes of that to nobody.
 */
export function tokenRequest() {
  const given = new AbortController()
  const { signal } = given
  return {
    giveUp: () => given.abort(),
    signal: {
      aborted: false,
      addEventListener: signal.addEventListener.bind(signal) as AbortSignal['addEventListener'],
      removeEventListener: signal.removeEventListener.bind(signal) as AbortSignal['removeEventListener'],
    },
  }
}
