/** What an HTTP wire can be told, and what it works with after checking. */
import { durationMs, numberOption, refuseOption, refuseUnknown, type Duration } from 'quadrille'
import { secretKey } from './webhook-signature.ts'

/**
 * How an event is put into a request. `structured`: attributes and data in one JSON body. `binary`: attributes as
 * headers, the body is the data. `batch`: a JSON array of many events, which is much faster.
 */
export type HttpMode = 'structured' | 'binary' | 'batch'

/** Options of {@link http}. Without `target` nothing is sent, without `endpoint` nothing is received. */
export interface HttpOptions {
  /** Default 'http'. Give each wire its own when there are several: progress is stored under it. */
  readonly name?: string
  readonly target?: HttpTargetOptions
  readonly endpoint?: HttpEndpointOptions
}

/** Where events go. One address a wire: another receiver is another wire, with progress of its own. */
export interface HttpTargetOptions {
  /** The address that events are posted to; `https:`, or `http:` where nobody else listens. */
  readonly url: string | URL
  /** Default 'structured'. */
  readonly mode?: HttpMode
  /**
   * Signs requests as Standard Webhooks says: `whsec_` and the key in base64. With several, each signs, so that keys can
   * be changed without a gap. Not with mode `binary`, whose attributes no signature covers.
   */
  readonly secret?: string | readonly string[]
  /** Sent with every request, for example an `authorization`; a function is asked before each. */
  readonly headers?: Readonly<Record<string, string>> | (() => Promise<Readonly<Record<string, string>>>)
  /** How long a request may take. Default '15s'. */
  readonly timeout?: Duration
  /** The most requests at the same time, of different keys. Default 16; in mode `batch` too. */
  readonly concurrency?: number
  /** The most events of one request in mode `batch`. Default 250. */
  readonly batchMax?: number
  /** The largest body in bytes; an event that does not fit is refused. Default 1,048,576 (1 MiB). */
  readonly bodyBytesMax?: number
  /**
   * Asks the receiver for its permission first (CloudEvents webhooks, OPTIONS with `WebHook-Request-Origin`), and keeps
   * to the rate that it allows. The DNS name that this sender goes by. Default: it is not asked.
   */
  readonly origin?: string
  /** Default: the global fetch. */
  readonly fetch?: typeof globalThis.fetch
}

/** What the endpoint accepts. */
export interface HttpEndpointOptions {
  /** Accepts only requests signed with one of these (Standard Webhooks). Default: signatures are not looked at. */
  readonly secret?: string | readonly string[]
  /** How old, or how far in the future, a signature may be. Default '5m'. */
  readonly tolerance?: Duration
  /** Says whether a request is allowed, before its body is read; for example by its `authorization`. Throwing is a no. */
  readonly authorize?: (request: Request) => boolean | Promise<boolean>
  /** Who may send (answers to the handshake of CloudEvents webhooks): DNS names, or '*' for everybody. Default none. */
  readonly origins?: '*' | readonly string[]
  /** The rate in requests per minute that the handshake allows. Default: no limit. */
  readonly requestsPerMinute?: number
  /** The largest body in bytes. Default 1,048,576 (1 MiB). */
  readonly bodyBytesMax?: number
  /** The most requests at the same time; more are answered 503, and come again. Default 64. */
  readonly concurrency?: number
}

/** {@link HttpTargetOptions}, checked. */
export interface Target {
  readonly url: URL
  readonly mode: HttpMode
  readonly keys: readonly Uint8Array[]
  readonly headers: () => Promise<Readonly<Record<string, string>>>
  readonly timeoutMs: number
  readonly concurrency: number
  readonly batchMax: number
  readonly bodyBytesMax: number
  readonly origin: string | null
  readonly fetch: typeof globalThis.fetch
}

/** {@link HttpEndpointOptions}, checked. */
export interface EndpointRules {
  readonly keys: readonly Uint8Array[]
  readonly toleranceMs: number
  readonly authorize: (request: Request) => boolean | Promise<boolean>
  readonly origins: '*' | readonly string[]
  readonly requestsPerMinute: number | null
  readonly bodyBytesMax: number
  readonly concurrency: number
}

const bodyBytesMax = 1_048_576
const modes: readonly string[] = ['structured', 'binary', 'batch'] satisfies HttpMode[]

const optionNames: Readonly<Record<keyof HttpOptions, true>> = {
  name: true,
  target: true,
  endpoint: true,
}

const targetNames: Readonly<Record<keyof HttpTargetOptions, true>> = {
  url: true,
  mode: true,
  secret: true,
  headers: true,
  timeout: true,
  concurrency: true,
  batchMax: true,
  bodyBytesMax: true,
  origin: true,
  fetch: true,
}

const endpointNames: Readonly<Record<keyof HttpEndpointOptions, true>> = {
  secret: true,
  tolerance: true,
  authorize: true,
  origins: true,
  requestsPerMinute: true,
  bodyBytesMax: true,
  concurrency: true,
}

const keyExpected = 'whsec_ and at least 24 bytes in base64, or no such option'

const whole = (option: string, value: number, max: number): number => numberOption(value, { option, min: 1, max })

function keysOf(option: string, options: { readonly secret?: string | readonly string[] }): Uint8Array[] {
  if (!Object.hasOwn(options, 'secret')) return []
  // Mostly a variable of the environment that is not set: without a word nothing would be signed, and anything accepted.
  const secrets = [options.secret ?? []].flat()
  if (secrets.length === 0) refuseOption(options.secret, option, keyExpected)
  return secrets.map((one) => secretKey(String(one)) ?? refuseOption('a text that is no key', option, keyExpected))
}

/** @throws QuadrilleError `OPTION_INVALID`, `DURATION_INVALID`. */
export function checkedOptions(options: HttpOptions) {
  refuseUnknown(options, optionNames, { of: 'http()' })
  const { name = 'http', target, endpoint } = options
  return {
    name,
    target: target === undefined ? null : checkedTarget(target),
    endpoint: endpoint === undefined ? null : checkedEndpoint(endpoint),
  }
}

function checkedTarget(options: HttpTargetOptions): Target {
  refuseUnknown(options, targetNames, { of: 'http()', path: 'target' })
  const mode = options.mode ?? 'structured'
  if (!modes.includes(mode)) refuseOption(mode, 'target.mode', modes.join(', '))
  const url = URL.parse(String(options.url)) ?? refuseOption(options.url, 'target.url', 'an absolute URL')
  if (!['http:', 'https:'].includes(url.protocol)) refuseOption(options.url, 'target.url', 'http: or https:')
  const keys = keysOf('target.secret', options)
  if (mode === 'binary' && keys.length > 0) {
    refuseOption(mode, 'target.mode', 'structured or batch with a secret: the signature covers only the body')
  }
  const { headers = {}, fetch = globalThis.fetch } = options
  return {
    url,
    mode,
    keys,
    headers: typeof headers === 'function' ? headers : async () => headers,
    timeoutMs: durationMs(options.timeout ?? '15s', 'target.timeout'),
    concurrency: whole('target.concurrency', options.concurrency ?? 16, 1000),
    batchMax: whole('target.batchMax', options.batchMax ?? 250, 1000),
    bodyBytesMax: whole('target.bodyBytesMax', options.bodyBytesMax ?? bodyBytesMax, 2 ** 30),
    origin: options.origin ?? null,
    fetch,
  }
}

function checkedEndpoint(options: HttpEndpointOptions): EndpointRules {
  refuseUnknown(options, endpointNames, { of: 'http()', path: 'endpoint' })
  const { requestsPerMinute } = options
  return {
    keys: keysOf('endpoint.secret', options),
    toleranceMs: durationMs(options.tolerance ?? '5m', 'endpoint.tolerance'),
    authorize: options.authorize ?? (() => true),
    origins: options.origins ?? [],
    requestsPerMinute:
      requestsPerMinute === undefined ? null : whole('endpoint.requestsPerMinute', requestsPerMinute, 1e9),
    bodyBytesMax: whole('endpoint.bodyBytesMax', options.bodyBytesMax ?? bodyBytesMax, 2 ** 30),
    concurrency: whole('endpoint.concurrency', options.concurrency ?? 64, 10_000),
  }
}
