/** What a user can set, and what it becomes. */
import type { Options } from 'amqplib'
import { durationMs, QuadrilleError, type Duration } from 'quadrille'

/** Options of {@link rabbitmq}. */
export interface RabbitOptions {
  /** `amqp://user:password@host:5672/vhost` or `amqps://...`; several of a cluster are tried in turn. */
  readonly url: string | readonly string[]
  /** What the wire is called in messages and records. Default `rabbitmq`. */
  readonly name?: string
  /** The topic exchange that all events go to, and what names of queues begin with. Default `quadrille`. */
  readonly exchange?: string
  /**
   * How often a sign of life is exchanged, and exchanges and bindings are looked after; after two that fail to come the
   * connection is given up. Default 5 seconds.
   */
  readonly heartbeat?: Duration
  /** How long an answer of the broker may take. Default 10 seconds. */
  readonly timeout?: Duration
  /** The most messages that are held unacknowledged for one service. Default 512. */
  readonly heldMax?: number
  /** The largest message that is sent, bytes. At most the broker's own limit, which it does not tell. Default 16 MiB. */
  readonly messageBytesMax?: number
  /** What attributes are called in headers: `cloudEvents_id`, as AMQP 1.0 has it, or `ce-id`. Both are read. */
  readonly headers?: 'cloudEvents_' | 'ce-'
  /** For TLS and sockets: what `net.connect` and `tls.connect` take (`ca`, `cert`, `key`, ...). */
  readonly socket?: Readonly<Record<string, unknown>>
}

/** The options with everything decided. */
export interface RabbitSettings {
  readonly name: string
  readonly urls: readonly Options.Connect[]
  readonly exchange: string
  readonly heartbeatMs: number
  readonly timeoutMs: number
  readonly heldMax: number
  readonly messageBytesMax: number
  readonly headerPrefix: string
  readonly socket: Readonly<Record<string, unknown>>
}

const heartbeatMsMin = 1_000
const heldMin = 2
/** The prefetch count of the protocol has 16 bits. */
const heldLimit = 65_535
const nameCharsMax = 100

/** Checks and completes the options. */
export function rabbitSettings(options: RabbitOptions): RabbitSettings {
  const name = options.name ?? 'rabbitmq'
  const refuse = (problem: string): never => {
    throw new QuadrilleError('WIRE_INCOMPATIBLE', { wire: name, problem })
  }
  const exchange = options.exchange ?? 'quadrille'
  if (!/^[\w.-]+$/.test(exchange) || exchange.startsWith('amq.') || exchange.length > nameCharsMax)
    refuse(`${exchange} can not be the name of an exchange`)
  const heldMax = options.heldMax ?? 512
  if (!Number.isInteger(heldMax) || heldMax < heldMin || heldMax > heldLimit)
    refuse(`heldMax must be a whole number from ${heldMin} to ${heldLimit}`)
  const heartbeatMs = durationMs(options.heartbeat ?? '5s', `heartbeat of ${name}`)
  if (heartbeatMs < heartbeatMsMin) refuse(`heartbeat must be at least ${heartbeatMsMin} ms`)
  const addresses = typeof options.url === 'string' ? [options.url] : options.url
  return {
    name,
    urls: addresses.map((address) => addressOf(address, heartbeatMs, refuse)),
    exchange,
    heartbeatMs,
    timeoutMs: durationMs(options.timeout ?? '10s', `timeout of ${name}`),
    heldMax,
    messageBytesMax: options.messageBytesMax ?? 16 * 1_048_576,
    headerPrefix: options.headers ?? 'cloudEvents_',
    socket: options.socket ?? {},
  }
}

function addressOf(address: string, heartbeatMs: number, refuse: (problem: string) => never): Options.Connect {
  const url = URL.parse(address)
  if (!url || !/^amqps?:$/.test(url.protocol) || url.hostname === '')
    return refuse(`${JSON.stringify(address.replace(/\/\/.*@/, '//…@'))} is not an address such as amqp://host:5672`)
  const signed = url.username !== '' || url.password !== ''
  return {
    protocol: url.protocol.slice(0, -1),
    hostname: url.hostname.replaceAll(/^\[|\]$/g, ''),
    ...(url.port === '' ? {} : { port: Number(url.port) }),
    ...(signed ? { username: decodeURIComponent(url.username), password: decodeURIComponent(url.password) } : {}),
    vhost: url.pathname.length > 1 ? decodeURIComponent(url.pathname.slice(1)) : '/',
    heartbeat: Math.ceil(heartbeatMs / 1_000),
  }
}
