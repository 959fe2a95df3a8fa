/** What a user can set, and what it becomes. */
import type { NodeConnectionOptions } from '@nats-io/transport-node'
import { durationMs, numberOption, refuseOption, refuseUnknown, type Duration } from 'quadrille'

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
const expected = 'one address such as nats://host:4222, or a list of them'

const optionNames: Readonly<Record<keyof NatsOptions, true>> = {
  servers: true,
  name: true,
  stream: true,
  prefix: true,
  maxAge: true,
  bytesMax: true,
  replicas: true,
  dedupeWindow: true,
  ackWait: true,
  heldMax: true,
  timeout: true,
  connection: true,
}

/**
 * Checks and completes the options.
 *
 * @throws QuadrilleError `OPTION_INVALID`, `DURATION_INVALID`.
 */
export function natsSettings(options: NatsOptions): NatsSettings {
  refuseUnknown(options, optionNames, { of: 'nats()' })
  const name = options.name ?? 'nats'
  const ms = (key: 'maxAge' | 'dedupeWindow' | 'ackWait' | 'timeout', otherwise: Duration) =>
    durationMs(options[key] ?? otherwise, `${key} of ${name}`)
  const stream = options.stream ?? 'QUADRILLE'
  const prefix = options.prefix ?? 'quadrille'
  if (!/^[\w-]+$/.test(stream)) refuseOption(stream, 'stream', 'a name of the characters a-z A-Z 0-9 _ -')
  if (!/^[\w-]+(\.[\w-]+)*$/.test(prefix)) refuseOption(prefix, 'prefix', 'a subject, such as quadrille')
  const timeoutMs = ms('timeout', '5s')
  return {
    name,
    stream,
    positionStream: `${stream}_POSITIONS`,
    prefix,
    maxAgeMs: ms('maxAge', '14d'),
    bytesMax: options.bytesMax === undefined ? -1 : numberOption(options.bytesMax, { option: 'bytesMax', min: 1 }),
    replicas: numberOption(options.replicas ?? 1, { option: 'replicas', min: 1 }),
    dedupeMs: ms('dedupeWindow', '2m'),
    ackWaitMs: numberOption(ms('ackWait', '5s'), { option: 'ackWait, in ms,', min: ackWaitMsMin }),
    heldMax: numberOption(options.heldMax ?? 512, { option: 'heldMax', min: heldMin }),
    timeoutMs,
    connection: connectionOf(options, timeoutMs),
  }
}

function connectionOf(options: NatsOptions, timeoutMs: number) {
  const { servers } = options
  const addresses: readonly string[] =
    typeof servers === 'string' ? servers.split(',') : Array.isArray(servers) ? servers : []
  if (addresses.length === 0) refuseOption(servers, 'servers', expected)
  const urls = addresses.map((address) => {
    const text = address.trim()
    const url = URL.parse(text.includes('://') ? text : `nats://${text}`)
    return url && url.hostname !== '' ? url : refuseOption(JSON.stringify(withoutSecret(text)), 'servers', expected)
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
