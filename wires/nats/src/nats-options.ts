/** What a user can set, and what it becomes. */
import type { NodeConnectionOptions } from '@nats-io/transport-node'
import { durationMs, QuadrilleError, type Duration } from 'quadrille'

/** Options of {@link nats}. */
export interface NatsOptions {
  /**
   * One address or several of a cluster: `nats://host:4222`, `tls://host:4222`, with `user:password@` or `token@` before the
   * host when the server asks for them.
   */
  readonly servers: string | readonly string[]
  /** What the wire is called in messages and records. Default `nats`. */
  readonly name?: string
  /** The stream that carries all events. Default `QUADRILLE`. Made when it is missing, never changed. */
  readonly stream?: string
  /** What subjects begin with: `order.created` is the subject `quadrille.order.created`. Default `quadrille`. */
  readonly prefix?: string
  /** How long events stay in the stream, when the stream is made here. Default 14 days. */
  readonly maxAge?: Duration
  /** The size at which the stream refuses more, when it is made here: events then wait in the ledger. Default: no limit. */
  readonly bytesMax?: number
  /** On how many servers of a cluster the stream is kept, when it is made here. Default 1. */
  readonly replicas?: number
  /** For how long the server drops a repeated event, when the stream is made here. Default 2 minutes. */
  readonly dedupeWindow?: Duration
  /** How long a message is ours without a sign of life from this process. Default 5 seconds, at least 1. */
  readonly ackWait?: Duration
  /** The most messages that are held unacknowledged for one service. Default 512. */
  readonly heldMax?: number
  /** How long an answer of the server may take. Default 5 seconds. */
  readonly timeout?: Duration
  /** Anything else that the client takes: `tls`, `authenticator`, `inboxPrefix`, ... */
  readonly connection?: Omit<NodeConnectionOptions, 'servers'>
}

/** The options with everything decided. */
export interface NatsSettings {
  readonly name: string
  readonly stream: string
  /** The stream that remembers how far each subscription has come, should the server forget it. */
  readonly positionStream: string
  readonly prefix: string
  readonly maxAgeMs: number
  readonly bytesMax: number
  readonly replicas: number
  readonly dedupeMs: number
  readonly ackWaitMs: number
  readonly heldMax: number
  readonly timeoutMs: number
  readonly connection: NodeConnectionOptions
}

const ackWaitMsMin = 1_000
const heldMin = 2

/** Checks and completes the options. */
export function natsSettings(options: NatsOptions): NatsSettings {
  const name = options.name ?? 'nats'
  const refuse = (problem: string): never => {
    throw new QuadrilleError('WIRE_INCOMPATIBLE', { wire: name, problem })
  }
  const ms = (key: 'maxAge' | 'dedupeWindow' | 'ackWait' | 'timeout', otherwise: Duration) =>
    durationMs(options[key] ?? otherwise, `${key} of ${name}`)
  const stream = options.stream ?? 'QUADRILLE'
  const prefix = options.prefix ?? 'quadrille'
  if (!/^[\w-]+$/.test(stream)) refuse(`the stream name ${stream} has other characters than a-z A-Z 0-9 _ -`)
  if (!/^[\w-]+(\.[\w-]+)*$/.test(prefix)) refuse(`the prefix ${prefix} is not a subject`)
  const ackWaitMs = ms('ackWait', '5s')
  if (ackWaitMs < ackWaitMsMin) refuse(`ackWait is ${ackWaitMs} ms, and must be at least ${ackWaitMsMin}`)
  const heldMax = options.heldMax ?? 512
  if (!Number.isInteger(heldMax) || heldMax < heldMin) refuse(`heldMax must be a whole number from ${heldMin}`)
  return {
    name,
    stream,
    positionStream: `${stream}_POSITIONS`,
    prefix,
    maxAgeMs: ms('maxAge', '14d'),
    bytesMax: options.bytesMax ?? -1,
    replicas: options.replicas ?? 1,
    dedupeMs: ms('dedupeWindow', '2m'),
    ackWaitMs,
    heldMax,
    timeoutMs: ms('timeout', '5s'),
    connection: connectionOf(options, ms('timeout', '5s'), refuse),
  }
}

function connectionOf(options: NatsOptions, timeoutMs: number, refuse: (problem: string) => never) {
  const addresses = typeof options.servers === 'string' ? options.servers.split(',') : options.servers
  const urls = addresses.map((address) => {
    const text = address.trim()
    const url = URL.parse(text.includes('://') ? text : `nats://${text}`)
    return url && url.hostname !== '' ? url : refuse(`${JSON.stringify(withoutSecret(text))} is not an address`)
  })
  const signed = urls.find((url) => url.username !== '')
  const [user, pass] = [decodeURIComponent(signed?.username ?? ''), decodeURIComponent(signed?.password ?? '')]
  return {
    ...(urls.some(({ protocol }) => protocol === 'tls:') ? { tls: {} } : {}),
    ...(user === '' ? {} : pass === '' ? { token: user } : { user, pass }),
    timeout: timeoutMs,
    // A connection that looks open while nothing comes through is given up after three unanswered pings.
    pingInterval: 2_000,
    maxPingOut: 2,
    reconnectTimeWait: 250,
    ...options.connection,
    servers: urls.map((url) => `${url.hostname}:${url.port || '4222'}`),
    reconnect: true,
    maxReconnectAttempts: -1,
    ignoreAuthErrorAbort: true,
  } satisfies NodeConnectionOptions
}

const withoutSecret = (address: string): string => address.replace(/\/\/.*@/, '//…@')
