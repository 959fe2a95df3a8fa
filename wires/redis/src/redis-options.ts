/** What a user can set, and what it becomes. */
import type { RedisOptions as ClientOptions } from 'ioredis'
import { durationMs, numberOption, refuseOption, refuseUnknown, type Duration } from 'quadrille'

/** Options of {@link redis}. */
export interface RedisOptions {
  /** `redis://user:password@host:6379/0`, or `rediss://...` for TLS. */
  readonly url: string
  /** What the wire is called in messages and records. Default `redis`. */
  readonly name?: string
  /** What keys begin with: the stream is `{quadrille}:events`. Default `quadrille`. */
  readonly prefix?: string
  /** How long events stay in the stream after every service has them, for services to come. Default 1 day. */
  readonly keep?: Duration
  /** How long a message is ours without a sign of life from this process. Default 5 seconds, at least 500 ms. */
  readonly lease?: Duration
  /** The most messages that are held unacknowledged for one service by one process. Default 2,048, at most 4,000. */
  readonly heldMax?: number
  /** The largest message that is sent, bytes. Default 16 MiB. */
  readonly messageBytesMax?: number
  /** How long an answer of the server may take. Default 5 seconds. */
  readonly timeout?: Duration
  /** Anything else that the client takes: `tls`, `sentinels` and their `name`, `family`, ... */
  readonly connection?: Omit<ClientOptions, 'keyPrefix' | 'retryStrategy'>
}

/** The options with everything decided. */
export interface RedisSettings {
  readonly name: string
  readonly url: string
  /** The stream of all events. */
  readonly stream: string
  /** A hash: how far each service has come, should somebody remove its group. */
  readonly positions: string
  readonly keepMs: number
  readonly leaseMs: number
  readonly heldMax: number
  readonly messageBytesMax: number
  readonly timeoutMs: number
  readonly connection: ClientOptions
}

const optionNames: Readonly<Record<keyof RedisOptions, true>> = {
  url: true,
  name: true,
  prefix: true,
  keep: true,
  lease: true,
  heldMax: true,
  messageBytesMax: true,
  timeout: true,
  connection: true,
}

const leaseMsMin = 500
const heldMin = 2
/** As many as a script at the server can name in one command. */
const heldMost = 4_000

/**
 * Checks and completes the options.
 *
 * @throws QuadrilleError `OPTION_INVALID`, `DURATION_INVALID`.
 */
export function redisSettings(options: RedisOptions): RedisSettings {
  refuseUnknown(options, optionNames, { of: 'redis()' })
  const name = options.name ?? 'redis'
  const ms = (key: 'keep' | 'lease' | 'timeout', otherwise: Duration) =>
    durationMs(options[key] ?? otherwise, `${key} of ${name}`)
  const { url } = options
  if (typeof url !== 'string' || !/^rediss?:$/.test(URL.parse(url)?.protocol ?? ''))
    refuseOption(withoutSecret(url), 'url', 'an address such as redis://host:6379')
  const prefix = options.prefix ?? 'quadrille'
  if (!/^[\w.:-]+$/.test(prefix)) refuseOption(prefix, 'prefix', 'a text of the characters a-z A-Z 0-9 _ . : -')
  return {
    name,
    url,
    // Braces keep both keys on the same server of a cluster.
    stream: `{${prefix}}:events`,
    positions: `{${prefix}}:positions`,
    keepMs: ms('keep', '1d'),
    leaseMs: numberOption(ms('lease', '5s'), { option: 'lease, in ms,', min: leaseMsMin }),
    heldMax: numberOption(options.heldMax ?? 2_048, { option: 'heldMax', min: heldMin, max: heldMost }),
    messageBytesMax: numberOption(options.messageBytesMax ?? 16 * 1_048_576, { option: 'messageBytesMax', min: 1 }),
    timeoutMs: ms('timeout', '5s'),
    connection: options.connection ?? {},
  }
}

const withoutSecret = (url: unknown): unknown =>
  typeof url === 'string' ? JSON.stringify(url.replace(/\/\/.*@/, '//…@')) : url
