/** Handlers of Azure Functions: for the Service Bus trigger, for HTTP, and for a timer. */
import { durationMs, invocations, type App, type Duration } from 'quadrille'
import type { AzureWire } from './azure-wire.ts'
import type { RawMessage } from './service-bus-message.ts'

/** What a handler needs to know. */
export interface FunctionsOptions {
  /** A wire with `receiveBy: 'functions'`, which `start` hands to `start()`. */
  readonly wire: AzureWire
  /** The service whose subscription triggers the function. */
  readonly service: string
  /** Starts the app, on a ledger that outlives the function. Called for each invocation that finds none running. */
  readonly start: () => Promise<App>
  /** How long an invocation may take; stay below `functionTimeout` of host.json. Default '30s'. */
  readonly within?: Duration
}

/** The part of the context of Azure Functions that is used. */
export interface FunctionsContext {
  readonly triggerMetadata?: Readonly<Record<string, unknown>> | undefined
}

/** Time that is left of an invocation, counted from now. */
function timeLeft(within: Duration): () => number {
  const endsMs = performance.now() + durationMs(within, 'within')
  return () => endsMs - performance.now()
}

/**
 * A handler for the Service Bus trigger, for one message or a batch (`cardinality: 'many'`), with `isSessionsEnabled:
 * true`. The messages are in the ledger before anything reacts to them; then the reactions run until there is nothing left
 * to do or the time is up. When the ledger does not take them it throws, and Service Bus delivers them again, all of them.
 *
 * @example
 * ```ts
 * const wire = serviceBus({ connectionString: process.env.SERVICE_BUS, receiveBy: 'functions' })
 * app.serviceBusTopic('payments', {
 *   connection: 'SERVICE_BUS', topicName: 'quadrille', subscriptionName: 'payments',
 *   cardinality: 'many', isSessionsEnabled: true,
 *   handler: serviceBusHandler({ wire, service: 'payments', start: () => start({ services, ledger, wires: [wire] }) }),
 * })
 * ```
 */
export function serviceBusHandler({ wire, service, start, within = '30s' }: FunctionsOptions) {
  const app = invocations(start)
  return async (input: unknown, context: FunctionsContext): Promise<void> => {
    const messages = messagesOf(input, context.triggerMetadata ?? {})
    await app.run(() => wire.deliverFromSubscription(service, messages), timeLeft(within))
  }
}

/** A handler for a timer: takes up what has fallen due since the last invocation, such as retries, timers and deadlines. */
export function timerHandler({ start, within = '30s' }: Pick<FunctionsOptions, 'start' | 'within'>) {
  const app = invocations(start)
  return async (): Promise<void> => app.run(async () => {}, timeLeft(within))
}

/** The parts of a request of Azure Functions that are used. */
export interface FunctionsRequest {
  readonly method: string
  readonly url: string
  readonly headers: { entries(): Iterable<[string, string]> }
  arrayBuffer(): Promise<ArrayBuffer>
}

/** A response as Azure Functions takes it. */
export interface FunctionsResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/**
 * A handler for the HTTP trigger, made of one that speaks Request and Response: `serverless()` of `@quadrille/http`.
 */
export function httpHandler(handle: (request: Request) => Promise<Response>) {
  return async (request: FunctionsRequest): Promise<FunctionsResponse> => {
    const { method, url } = request
    const bytes = method === 'GET' || method === 'HEAD' ? null : await request.arrayBuffer()
    const body = bytes && bytes.byteLength > 0 ? bytes : null
    const response = await handle(new Request(url, { method, headers: [...request.headers.entries()], body }))
    return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() }
  }
}

const recordOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

/** The host parses bodies that are JSON, and tells the rest beside them: of a batch as lists. */
function messagesOf(input: unknown, metadata: Readonly<Record<string, unknown>>): readonly RawMessage[] {
  const lists = Array.isArray(metadata['applicationPropertiesArray']) || Array.isArray(metadata['messageIdArray'])
  // A single message whose body is a list has an id of its own.
  const many = Array.isArray(input) && (lists || metadata['messageId'] === undefined)
  const bodies: readonly unknown[] = many ? input : [input]
  return bodies.map((body, index) => {
    const told = (name: string): unknown =>
      many ? (metadata[`${name}Array`] as readonly unknown[] | undefined)?.[index] : metadata[name]
    return {
      body,
      contentType: textOf(told('contentType')),
      subject: textOf(told('subject')) ?? textOf(told('label')),
      applicationProperties: recordOf(told('applicationProperties')) as RawMessage['applicationProperties'],
    }
  })
}
