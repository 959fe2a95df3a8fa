/**
 * The receiving half: answers requests, from a sender of this toolkit or any other.
 *
 * It answers 2xx only when the ledger has committed. 202: taken, once and for all, also when it can not be decoded: the
 * ledger then keeps the exact bytes as a dead letter. (A refusal would make many senders give up on this address for all
 * events, or try the same bytes for days; and where the bytes would be kept, nobody here would look.) Nothing is taken
 * with: 401, not signed or not allowed; 404, no service here receives this type; 413, too large; 415, no CloudEvent in
 * JSON, or compressed; 503, come again: not running, too much at once, or the ledger can not take it.
 */
import { wantedOf, type Deliver, type IncomingMessage, type Subscription, type WireContext } from 'quadrille'
import { decodeRequest, modeOf } from './http-binding.ts'
import type { EndpointRules } from './http-options.ts'
import { verifyWebhook } from './webhook-signature.ts'

/** The most messages that are handed on at once: larger commits cost less, as each event touches pages of three indexes. */
const deliverMax = 500

/** A subscription at the endpoint. */
export interface Route {
  readonly subscription: Subscription
  readonly deliver: Deliver
  stopped: boolean
  /** Deliveries under way. */
  readonly busy: Set<Promise<void>>
}

/** What the receiving half has seen, for `health()`. */
export interface EndpointFacts {
  taken: number
  turnedAway: number
  failed: number
}

/** Answers requests for the subscriptions of a wire. */
export class WebhookEndpoint {
  readonly facts: EndpointFacts = { taken: 0, turnedAway: 0, failed: 0 }
  readonly routes = new Set<Route>()
  readonly #rules: EndpointRules
  readonly #context: () => WireContext | undefined
  #busy = 0

  constructor(rules: EndpointRules, context: () => WireContext | undefined) {
    this.#rules = rules
    this.#context = context
  }

  /** @param read - Reads the body, or resolves to null when it is larger than so many bytes. */
  async answer(request: Request, read: BodyReader): Promise<Response> {
    if (request.method === 'OPTIONS') return this.#handshake(request)
    if (request.method !== 'POST')
      return answer(405, `${request.method} is not answered here`, { allow: 'POST, OPTIONS' })
    if (this.#busy >= this.#rules.concurrency) return this.#later('too many requests at once')
    this.#busy += 1
    try {
      const response = await this.#post(request, read)
      if (response.status >= 400) this.facts.turnedAway += 1
      return response
    } finally {
      this.#busy -= 1
    }
  }

  #handshake(request: Request): Response {
    const origin = request.headers.get('webhook-request-origin')
    const { origins, requestsPerMinute } = this.#rules
    const allow = { allow: 'POST, OPTIONS' }
    if (origin === null) return new Response(null, { status: 204, headers: allow })
    const known = origins === '*' || origins.some((one) => one.toLowerCase() === origin.toLowerCase())
    if (!known) return answer(403, `${origin} may not send here`, allow)
    const headers = {
      ...allow,
      'webhook-allowed-origin': origin,
      'webhook-allowed-rate': String(requestsPerMinute ?? '*'),
    }
    return new Response(null, { status: 200, headers })
  }

  async #post(request: Request, read: BodyReader): Promise<Response> {
    const context = this.#context()
    if (!context) return this.#later('the service is not running')
    if (!(await this.#isAllowed(request, context))) return answer(401, 'not allowed')
    const encoding = request.headers.get('content-encoding') ?? 'identity'
    if (encoding.toLowerCase() !== 'identity') return answer(415, `a body in ${encoding} is not read here`)
    const { bodyBytesMax } = this.#rules
    const isLong = Number(request.headers.get('content-length') ?? 0) > bodyBytesMax
    const body = isLong ? null : await read(bodyBytesMax)
    if (body === null) return answer(413, `the body has more than ${bodyBytesMax} bytes`)
    if (this.#rules.keys.length > 0) {
      const problem = this.#signatureProblem(request.headers, body, context.env.now())
      if (problem) return answer(401, problem)
    }
    const decoded = decodeRequest(request.headers, body)
    if ('status' in decoded) return answer(decoded.status, decoded.reason)
    return this.#take(decoded.messages, context)
  }

  async #isAllowed(request: Request, { log }: WireContext): Promise<boolean> {
    try {
      return await this.#rules.authorize(request)
    } catch (error) {
      log.warn({ err: error }, 'authorize() of the endpoint has failed; the request is turned away')
      return false
    }
  }

  #signatureProblem(headers: Headers, body: Uint8Array, nowMs: number): string | null {
    if (modeOf(headers) === 'binary') return 'binary mode can not be signed: its attributes are not part of the body'
    const id = headers.get('webhook-id')
    const time = headers.get('webhook-timestamp')
    const signatures = headers.get('webhook-signature')
    if (id === null || time === null || signatures === null || !/^\d{1,12}$/.test(time)) return 'not signed'
    const timestamp = Number(time)
    if (!verifyWebhook(this.#rules.keys, { id, timestamp, body }, signatures)) return 'the signature is wrong'
    return Math.abs(nowMs - timestamp * 1000) <= this.#rules.toleranceMs
      ? null
      : 'the signature is too old, or of the future'
  }

  /** Hands everything to whoever wants it: all of it, or nothing when one of the types is wanted by nobody. */
  async #take(messages: readonly IncomingMessage[], context: WireContext): Promise<Response> {
    const routes = [...this.routes]
    if (routes.length === 0) return this.#later('no service receives here yet')
    try {
      const shares = await Promise.all(routes.map((route, index) => shareOf(route, messages, index === 0)))
      const unwanted = unwantedIn(messages, shares)
      if (unwanted !== undefined) return answer(404, `no service here receives events of type ${unwanted}`)
      const wanted = shares.filter(({ share }) => share.length > 0)
      if (wanted.some(({ route }) => route.stopped)) return this.#later('the service is stopping')
      await Promise.all(wanted.map(({ route, share }) => deliverAll(route, share)))
    } catch (error) {
      this.facts.failed += 1
      context.log.warn({ err: error }, 'received events could not be stored; the sender is asked to come again')
      return this.#later('the events could not be stored')
    }
    this.facts.taken += messages.length
    return new Response(null, { status: 202 })
  }

  #later(reason: string): Response {
    return answer(503, reason, { 'retry-after': '1' })
  }
}

interface Share {
  readonly route: Route
  readonly share: readonly IncomingMessage[]
}

/** What of a request a subscription wants. What shows no type is a dead letter, and one is enough. */
async function shareOf(route: Route, messages: readonly IncomingMessage[], isFirst: boolean): Promise<Share> {
  const share = await wantedOf(route.subscription, messages, ({ channel }) => channel)
  return { route, share: isFirst ? share : share.filter(({ channel }) => channel) }
}

/** A type that nobody wants; undefined for none. */
function unwantedIn(messages: readonly IncomingMessage[], shares: readonly Share[]): string | undefined {
  if (shares.some(({ share }) => share.length === messages.length)) return undefined
  const taken = new Set(shares.flatMap(({ share }) => share))
  return messages.find((message) => message.channel && !taken.has(message))?.channel
}

async function deliverAll(route: Route, messages: readonly IncomingMessage[]): Promise<void> {
  for (let from = 0; from < messages.length; from += deliverMax) {
    const delivery = route.deliver(messages.slice(from, from + deliverMax))
    route.busy.add(delivery)
    try {
      await delivery
    } finally {
      route.busy.delete(delivery)
    }
  }
}

const answer = (status: number, text: string, headers: Record<string, string> = {}): Response =>
  new Response(`${text}\n`, { status, headers: { 'content-type': 'text/plain; charset=utf-8', ...headers } })

/** Reads a body; null when it has more bytes than allowed, in which case the rest is not read. */
export type BodyReader = (bytesMax: number) => Promise<Uint8Array | null>

/** Reads the body of a request as the web has it. */
export const bodyOf =
  ({ body }: Request): BodyReader =>
  async (bytesMax) => {
    if (body === null) return new Uint8Array()
    const parts: Uint8Array[] = []
    let size = 0
    for await (const part of body as unknown as AsyncIterable<Uint8Array>) {
      size += part.length
      if (size > bytesMax) return null
      parts.push(part)
    }
    return Buffer.concat(parts)
  }
