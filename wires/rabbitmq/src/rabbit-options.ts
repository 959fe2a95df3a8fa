/** What a user can set, and what it becomes. */
import type { Options } from 'amqplib'
import { durationMs, numberOption, refuseOption, refuseUnknown, type Duration } from 'quadrille'

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
  /**
   * The address of the management API, such as `http://user:password@host:15672`; without a user, the one of `url`. Only there can
   * be seen that somebody has deleted a binding while a service receives, and so that it has missed events. The user needs
   * the tag `management`. Default none: such a binding is made again without a word.
   */
  readonly management?: string
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

/** Where and as whom the management API is asked. */
export interface Management {
  readonly address: string
  readonly authorization: string
  readonly vhost: string
}

/** The options with everything decided. */
export interface RabbitSettings {
  readonly name: string
  readonly urls: readonly Options.Connect[]
  readonly exchange: string
  readonly management: Management | null
  readonly heartbeatMs: number
  readonly timeoutMs: number
  readonly heldMax: number
  readonly messageBytesMax: number
  readonly headerPrefix: string
  readonly socket: Readonly<Record<string, unknown>>
}

const optionNames: Readonly<Record<keyof RabbitOptions, true>> = {
  url: true,
  name: true,
  exchange: true,
  management: true,
  heartbeat: true,
  timeout: true,
  heldMax: true,
  messageBytesMax: true,
  headers: true,
  socket: true,
}

const expected = 'one address such as amqp://host:5672, or a list of them'
const heartbeatMsMin = 1_000
const heldMin = 2
/** The prefetch count of the protocol has 16 bits. */
const heldLimit = 65_535
const nameCharsMax = 100

/**
 * Checks and completes the options.
 *
 * @throws QuadrilleError `OPTION_INVALID`, `DURATION_INVALID`.
 */
export function rabbitSettings(options: RabbitOptions): RabbitSettings {
  refuseUnknown(options, optionNames, { of: 'rabbitmq()' })
  const name = options.name ?? 'rabbitmq'
  const exchange = options.exchange ?? 'quadrille'
  if (!/^[\w.-]+$/.test(exchange) || exchange.startsWith('amq.') || exchange.length > nameCharsMax)
    refuseOption(
      exchange,
      'exchange',
      `up to ${nameCharsMax} of the characters a-z A-Z 0-9 _ . -, not beginning with amq.`,
    )
  const heartbeat = durationMs(options.heartbeat ?? '5s', `heartbeat of ${name}`)
  const heartbeatMs = numberOption(heartbeat, { option: 'heartbeat, in ms,', min: heartbeatMsMin })
  const { url } = options
  const addresses: readonly string[] = typeof url === 'string' ? [url] : Array.isArray(url) ? url : []
  if (addresses.length === 0) refuseOption(url, 'url', expected)
  const urls = addresses.map((address) => addressOf(address, heartbeatMs))
  return {
    name,
    urls,
    exchange,
    management: options.management === undefined ? null : managementOf(options.management, urls[0]!),
    heartbeatMs,
    timeoutMs: durationMs(options.timeout ?? '10s', `timeout of ${name}`),
    heldMax: numberOption(options.heldMax ?? 512, { option: 'heldMax', min: heldMin, max: heldLimit }),
    messageBytesMax: numberOption(options.messageBytesMax ?? 16 * 1_048_576, { option: 'messageBytesMax', min: 1 }),
    headerPrefix: headersOf(options.headers),
    socket: options.socket ?? {},
  }
}

const withoutSecret = (address: string): string => JSON.stringify(String(address).replace(/\/\/.*@/, '//…@'))

function addressOf(address: string, heartbeatMs: number): Options.Connect {
  const url = URL.parse(address)
  if (!url || !/^amqps?:$/.test(url.protocol) || url.hostname === '')
    return refuseOption(withoutSecret(address), 'url', expected)
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

function managementOf(address: string, { username, password, vhost = '/' }: Options.Connect): Management {
  const url = URL.parse(address)
  if (!url || !/^https?:$/.test(url.protocol))
    return refuseOption(withoutSecret(address), 'management', 'an address such as http://host:15672')
  const signed = url.username !== '' || url.password !== ''
  const own = [url.username, url.password].map(decodeURIComponent)
  const user = signed ? own : [username ?? 'guest', password ?? 'guest']
  return {
    address: url.origin + url.pathname.replace(/\/+$/, ''),
    authorization: `Basic ${Buffer.from(user.join(':')).toString('base64')}`,
    vhost,
  }
}

function headersOf(headers: RabbitOptions['headers'] = 'cloudEvents_'): string {
  return headers === 'cloudEvents_' || headers === 'ce-'
    ? headers
    : refuseOption(headers, 'headers', 'cloudEvents_ or ce-')
}
