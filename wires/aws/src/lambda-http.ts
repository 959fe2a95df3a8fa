/** HTTP by way of Lambda: API Gateway (payload 1.0 and 2.0), function URLs and load balancers, as Request and Response. */
import { Buffer } from 'node:buffer'
import { QuadrilleError } from 'quadrille'

/** The parts of such an event that are used; which of them are there depends on the sender. */
export interface LambdaHttpEvent {
  readonly httpMethod?: string
  readonly path?: string
  readonly rawPath?: string
  readonly rawQueryString?: string
  readonly queryStringParameters?: Readonly<Record<string, string | undefined>> | null
  readonly multiValueQueryStringParameters?: Readonly<Record<string, readonly string[] | undefined>> | null
  readonly headers?: Readonly<Record<string, string | undefined>> | null
  readonly multiValueHeaders?: Readonly<Record<string, readonly string[] | undefined>> | null
  readonly body?: string | null
  readonly isBase64Encoded?: boolean
  readonly requestContext?: {
    readonly http?: { readonly method?: string } | undefined
    /** There for load balancers only. */
    readonly elb?: object
  }
}

/** The answer, in the form that all of them take. */
export interface LambdaHttpResponse {
  readonly statusCode: number
  readonly headers: Record<string, string>
  /** Only where the event had such headers: a load balancer that sends them takes no others. */
  readonly multiValueHeaders?: Record<string, string[]>
  readonly body: string
  readonly isBase64Encoded: boolean
}

/**
 * A handler of Lambda for HTTP, made of one that speaks Request and Response: `serverless()` of `@quadrille/http`. The
 * body is handed on byte by byte as it was sent, so that signatures hold.
 *
 * @example
 * ```ts
 * const wire = http({ endpoint: { secret: process.env.WEBHOOK_SECRET } })
 * export const handler = httpHandler(serverless({ wire, start: () => start({ services, ledger, wires: [wire] }) }))
 * ```
 */
export function httpHandler(handle: (request: Request) => Promise<Response>) {
  return async (event: LambdaHttpEvent): Promise<LambdaHttpResponse> => {
    const response = await handle(requestOf(event))
    const headers = Object.fromEntries(response.headers)
    const lists = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]]))
    return {
      statusCode: response.status,
      headers,
      ...(event.multiValueHeaders ? { multiValueHeaders: lists } : {}),
      body: await response.text(),
      isBase64Encoded: false,
    }
  }
}

function requestOf(event: LambdaHttpEvent): Request {
  const method = event.requestContext?.http?.method ?? event.httpMethod
  if (typeof method !== 'string') {
    const problem = 'httpHandler was invoked with what is no request of API Gateway, a function URL or a load balancer'
    throw new QuadrilleError('WIRE_CANNOT', { wire: 'lambda', problem })
  }
  const headers = new Headers()
  // Where there are lists, the other form has only the last of each.
  const single = event.multiValueHeaders ? {} : (event.headers ?? {})
  for (const [name, value] of Object.entries(single)) if (value !== undefined) headers.append(name, value)
  for (const [name, values] of Object.entries(event.multiValueHeaders ?? {}))
    for (const value of values ?? []) headers.append(name, value)
  const url = new URL(`https://${headers.get('host') ?? 'localhost'}`)
  url.pathname = event.rawPath ?? event.path ?? '/'
  url.search = event.rawQueryString ?? queryOf(event)
  const bytes = event.body ? Buffer.from(event.body, event.isBase64Encoded ? 'base64' : 'utf8') : null
  const hasBody = bytes !== null && method !== 'GET' && method !== 'HEAD'
  return new Request(url, { method, headers, body: hasBody ? new Uint8Array(bytes) : null })
}

/** The query where it comes in parts: decoded from API Gateway (payload 1.0), as it was sent from load balancers. */
function queryOf(event: LambdaHttpEvent): string {
  const { multiValueQueryStringParameters, queryStringParameters, requestContext } = event
  const written = requestContext?.elb ? (text: string) => text : encodeURIComponent
  const pairs = Object.entries(multiValueQueryStringParameters ?? queryStringParameters ?? {}).flatMap(
    ([name, values = []]) => [values].flat().map((value) => `${written(name)}=${written(value)}`),
  )
  return pairs.join('&')
}
