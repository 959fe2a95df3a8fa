/** The HTTP wire: a target that events are posted to, an endpoint that takes them, or both. */
import { QuadrilleError, type Deliver, type OutgoingMessage, type Receiver, type Subscription } from 'quadrille'
import type { Wire, WireCapabilities, WireContext, WireHealth } from 'quadrille'
import { checkedOptions, type HttpOptions, type Target } from './http-options.ts'
import { bodyOf, WebhookEndpoint, type BodyReader, type Route } from './webhook-endpoint.ts'
import { WebhookTarget } from './webhook-target.ts'

/**
 * Carries events as CloudEvents webhooks. Made by {@link http}. What it sends is in the receiver's ledger (or wherever
 * a foreign receiver keeps it) when it answers 2xx; what it receives is in the ledger before it is answered.
 */
export class HttpWire implements Wire {
  readonly name: string
  readonly capabilities: WireCapabilities
  readonly #targetOptions: Target | null
  readonly #endpoint: WebhookEndpoint | null
  #target: WebhookTarget | null = null
  #context: WireContext | undefined

  constructor(options: HttpOptions) {
    const { name, target, endpoint } = checkedOptions(options)
    this.name = name
    this.#targetOptions = target
    this.#endpoint = endpoint && new WebhookEndpoint(endpoint, () => this.#context)
    this.capabilities = {
      // A request is answered after the commit, and the next one of its key is sent after the answer.
      order: 'always',
      from: ['now'],
      filters: false,
      reportsUnroutable: true,
      dedupeMs: 0,
      messageBytesMax: this.#targetOptions?.bodyBytesMax ?? null,
    }
  }

  /**
   * Answers a request to the endpoint: for any framework that works with Request and Response, such as Hono. Resolves after the ledger has committed; never rejects. Before `start()` and after `stop()`
   * the answer is 503.
   *
   * @throws QuadrilleError `WIRE_CANNOT` when the wire has no endpoint.
   */
  readonly fetch = async (request: Request): Promise<Response> => {
    return this.answer(request, bodyOf(request))
  }

  /**
   * As {@link HttpWire.fetch}, where the body is somewhere else, as for {@link nodeListener}.
   *
   * @param read - Called when the body is wanted, with the most bytes that are taken; resolves to null when there are more.
   * @throws QuadrilleError `WIRE_CANNOT` when the wire has no endpoint.
   */
  async answer(request: Request, read: BodyReader): Promise<Response> {
    if (!this.#endpoint) throw this.#cannot('it has no endpoint: give http() the option endpoint')
    return this.#endpoint.answer(request, read)
  }

  async open(context: WireContext): Promise<void> {
    this.#context = context
    if (this.#targetOptions) this.#target = new WebhookTarget(this.name, this.#targetOptions, context)
  }

  async close(): Promise<void> {
    this.#context = undefined
    this.#target?.close()
    this.#target = null
    await Promise.all([...(this.#endpoint?.routes ?? [])].map((route) => this.#stop(route)))
    this.#endpoint?.routes.clear()
  }

  async send(messages: readonly OutgoingMessage[]): Promise<readonly (QuadrilleError | null)[]> {
    if (!this.#targetOptions)
      throw this.#cannot('it has nowhere to send to: give http() a target, or start() `sends: []` with this wire')
    if (!this.#target) throw new QuadrilleError('WIRE_UNREACHABLE', { wire: this.name, message: 'it is not open' })
    return this.#target.send(messages)
  }

  async receive(subscription: Subscription, deliver: Deliver): Promise<Receiver> {
    const endpoint = this.#endpoint
    if (!endpoint) throw this.#cannot('it has no endpoint: give http() one, or start() `receives: []` with this wire')
    const route: Route = { subscription, deliver, stopped: false, busy: new Set() }
    for (const old of endpoint.routes) {
      if (old.stopped && old.subscription.service === subscription.service) endpoint.routes.delete(old)
    }
    endpoint.routes.add(route)
    return {
      stop: () => this.#stop(route),
      // How much a sender still holds, only the sender knows.
      health: async () => ({ lag: null, problems: [] }),
    }
  }

  async health(): Promise<WireHealth> {
    const target = this.#target?.facts
    const endpoint = this.#endpoint?.facts
    return {
      problems: target?.problem ? [`${this.name} does not reach its target: ${target.problem}`] : [],
      facts: {
        ...(target ? { sent: target.sent, sendsFailed: target.failed, sendsRefused: target.refused } : {}),
        ...(endpoint ? { taken: endpoint.taken, turnedAway: endpoint.turnedAway, notStored: endpoint.failed } : {}),
      },
    }
  }

  async #stop(route: Route): Promise<void> {
    route.stopped = true
    await Promise.allSettled(route.busy)
  }

  #cannot(problem: string): QuadrilleError {
    return new QuadrilleError('WIRE_CANNOT', { wire: this.name, problem })
  }
}

/**
 * A wire that posts events to an address as CloudEvents webhooks, takes them at an endpoint, or both. One address a
 * wire; for several receivers give `start()` several wires with names of their own.
 *
 * Order per key holds from one Quadrille to another, and as far as a foreign receiver takes requests in order. There is
 * no broker: while the receiver is away, events wait in the sender's ledger.
 *
 * @throws QuadrilleError `OPTION_INVALID`, `DURATION_INVALID`.
 *
 * @example
 * ```ts
 * const partner = http({
 *   name: 'partner',
 *   target: { url: 'https://partner.example.com/events', secret: process.env.PARTNER_SECRET },
 *   endpoint: { secret: process.env.OWN_SECRET },
 * })
 * const app = await start({ services, ledger, wires: [partner] })
 * createServer(nodeListener(partner)).listen(8080)
 * ```
 */
export function http(options: HttpOptions): HttpWire {
  return new HttpWire(options)
}
