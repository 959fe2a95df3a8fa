/** The endpoint for a function that runs on invocation and speaks Request and Response. */
import { durationMs, invocations, type App, type Duration } from 'quadrille'
import type { HttpWire } from './http-wire.ts'

/** Options of {@link serverless}. */
export interface ServerlessOptions {
  /** A wire with an endpoint, which `start` hands to `start()`. */
  readonly wire: HttpWire
  /** Starts the app, on a ledger that outlives the function. Called for each invocation that finds none running. */
  readonly start: () => Promise<App>
  /** How long an invocation may go on after the events are in the ledger. Default '10s'. */
  readonly within?: Duration
}

/** What some platforms hand to a handler. */
export interface ServerlessContext {
  /** Keeps the function alive until the promise has settled. */
  waitUntil?(promise: Promise<unknown>): void
}

/**
 * A handler for HTTP push to a function. The events of a request are in the ledger before it is answered. Reactions run
 * before the answer, or after it where the platform has `waitUntil`. A POST without a body that says nothing of
 * CloudEvents is a tick: it takes up what has fallen due, such as retries, timers and deadlines; let a schedule send one.
 *
 * @throws QuadrilleError `DURATION_INVALID`.
 *
 * @example
 * ```ts
 * const wire = http({ endpoint: { secret: process.env.WEBHOOK_SECRET } })
 * const handle = serverless({ wire, start: () => start({ services, ledger: postgres(url), wires: [wire] }) })
 * export default { fetch: handle }
 * ```
 */
export function serverless({ wire, start, within = '10s' }: ServerlessOptions) {
  const withinMs = durationMs(within, 'within')
  const app = invocations(start)
  return async (request: Request, context: ServerlessContext = {}): Promise<Response> => {
    const answered = Promise.withResolvers<Response>()
    const isTick = isEmptyPost(request)
    let env: App['env'] | undefined
    let endsMs = 0
    const work = async (running: App) => {
      env = running.env
      endsMs = env.elapsed() + withinMs
      answered.resolve(isTick ? new Response(null, { status: 204 }) : await wire.fetch(request))
    }
    const done = app
      .run(work, () => endsMs - (env?.elapsed() ?? 0))
      .catch((error: unknown) => {
        console.error(`quadrille error the function could not run: ${String(error)}`)
        answered.resolve(new Response('not available\n', { status: 503, headers: { 'retry-after': '5' } }))
      })
    if (context.waitUntil) context.waitUntil(done)
    else await done
    return answered.promise
  }
}

/** Schedulers differ in what else they say: a content type, a length of 0, a body that ends at once. */
function isEmptyPost({ method, headers, body }: Request): boolean {
  const isEvent = headers.has('ce-specversion') || /^application\/cloudevents/i.test(headers.get('content-type') ?? '')
  return method === 'POST' && !isEvent && (body === null || headers.get('content-length') === '0')
}
