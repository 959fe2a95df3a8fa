/**
 * The payment provider: somebody else's HTTP service, with its own books, its bad days, and one thing it can be relied
 * on for: a request that is repeated with the same idempotency key gets the first answer, and no money moves twice.
 *
 * It is trusting on purpose: it would refund a charge twice under two keys, so that such a mistake shows in the books.
 */
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { Hono, type Context } from 'hono'
import { setTimeout as sleep } from 'node:timers/promises'
import * as z from 'zod'
import { serveHttp, type HttpServer, type Served } from '../http-server.ts'
import { hashOf, openChargeStore, type Charge, type ChargeStore } from './charge-store.ts'
import type { TroublePlan, Try } from './trouble.ts'

const amountMinor = z.int().positive()
const chargeRequest = z.object({ orderId: z.string().min(1), customerId: z.string().min(1), amountMinor })
const refundRequest = z.object({ chargeId: z.string().min(1), amountMinor })

/** What GET /totals says. */
export interface ProviderTotals {
  readonly chargedMinor: number
  readonly refundedMinor: number
  readonly declined: number
  /** Requests that came again with a known key, and moved nothing. */
  readonly repeats: number
}

export interface ProviderOptions {
  /** Where the books are kept. */
  readonly file: string
  readonly trouble: TroublePlan
  /** Default: any free port. */
  readonly port?: number
  /** How long a slow answer takes. Default 400 ms. */
  readonly slowMs?: number
}

export async function startProvider(options: ProviderOptions): Promise<HttpServer> {
  const store = openChargeStore(options.file)
  const app = new Hono<Served>()
  const busy = new Set<Promise<void>>()
  app.use(async (_, next) => {
    const work = next()
    busy.add(work)
    await work.finally(() => busy.delete(work))
  })
  app.route('/', providerApp(store, options))
  const server = await serveHttp(app, options.port ?? 0)
  return {
    url: server.url,
    async close() {
      await server.close()
      // A slow charge is made even when the one who asked for it has gone away.
      await Promise.allSettled(busy)
      store.close()
    },
  }
}

function providerApp(store: ChargeStore, options: ProviderOptions): Hono<Served> {
  const app = new Hono<Served>()
  const handling = { store, trouble: options.trouble, slowMs: options.slowMs ?? 400 }

  app.post('/charges', async (c) => {
    const request = chargeRequest.safeParse(await c.req.json().catch(() => undefined))
    if (!request.success) return c.json({ error: z.prettifyError(request.error) }, 400)
    const { orderId, amountMinor } = request.data
    return answer(c, { ...handling, request: request.data, operation: 'charge', subject: orderId }, () => {
      const declined = options.trouble.declines(orderId)
      const outcome = declined
        ? ({ status: 'declined', reason: 'insufficient funds' } as const)
        : ({ status: 'succeeded', reason: null } as const)
      const charge: Charge = { chargeId: `ch_${crypto.randomUUID()}`, orderId, amountMinor, ...outcome }
      return { charge }
    })
  })

  app.post('/refunds', async (c) => {
    const request = refundRequest.safeParse(await c.req.json().catch(() => undefined))
    if (!request.success) return c.json({ error: z.prettifyError(request.error) }, 400)
    const { chargeId, amountMinor } = request.data
    if (store.chargeOf(chargeId)?.status !== 'succeeded')
      return c.json({ error: `nothing was charged as ${chargeId}` }, 404)
    return answer(c, { ...handling, request: request.data, operation: 'refund', subject: chargeId }, () => ({
      refund: { refundId: `re_${crypto.randomUUID()}`, chargeId, amountMinor },
    }))
  })

  app.get('/charges', (c) => c.json({ charges: store.charges(), refunds: store.refunds() }))
  app.get('/totals', (c) => c.json(totals(store)))
  return app
}

interface Asked extends Pick<Try, 'operation' | 'subject'> {
  readonly store: ChargeStore
  readonly trouble: TroublePlan
  readonly slowMs: number
  readonly request: object
}

/** Books what is asked for unless the key is known, and answers, or does not, as the trouble of the day has it. */
async function answer(
  c: Context<Served>,
  asked: Asked,
  make: () => Parameters<ChargeStore['book']>[0],
): Promise<Response> {
  const { store, operation, subject } = asked
  const key = c.req.header('Idempotency-Key')
  if (!key) return c.json({ error: 'the header Idempotency-Key is missing' }, 400)
  const trouble = asked.trouble.troubleOf({ operation, subject, attempt: store.countTry(key) })
  if (trouble === 'refused before') return c.json({ error: 'out of order, try again' }, 503)
  if (trouble === 'slow') await sleep(asked.slowMs)

  const requestHash = hashOf({ operation, ...asked.request })
  const known = store.answerOf(key)
  if (known && known.requestHash !== requestHash) return c.json({ error: 'this key was used for another request' }, 422)
  if (!known) {
    const entry = make()
    store.book(entry, key, { requestHash, status: 201, body: 'charge' in entry ? entry.charge : entry.refund })
  }
  // From here on the money has moved, whatever the caller gets to hear.
  if (trouble === 'error after') return c.json({ error: 'something went wrong' }, 500)
  if (trouble === 'dropped after') {
    c.env.incoming.socket.destroy()
    return RESPONSE_ALREADY_SENT
  }
  const { status, body } = store.answerOf(key)!
  return Response.json(body, { status, headers: known ? { 'Idempotent-Replayed': 'true' } : {} })
}

function totals(store: ChargeStore): ProviderTotals {
  const sum = (amounts: readonly { readonly amountMinor: number }[]) =>
    amounts.reduce((total, each) => total + each.amountMinor, 0)
  const charges = store.charges()
  return {
    chargedMinor: sum(charges.filter((charge) => charge.status === 'succeeded')),
    refundedMinor: sum(store.refunds()),
    declined: charges.filter((charge) => charge.status === 'declined').length,
    repeats: store.repeats(),
  }
}
