/** The order service over HTTP: orders are placed and followed here, and a page shows it. */
import { Hono, type Context } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { secureHeaders } from 'hono/secure-headers'
import { streamSSE } from 'hono/streaming'
import { readFileSync } from 'node:fs'
import type { App } from 'quadrille'
import { flowDiagram } from 'quadrille/observe'
import * as z from 'zod'
import { catalogue, productOf } from './catalogue.ts'
import type { Served } from './http-server.ts'
import type { OrderQueries, OrderRow } from './order-queries.ts'
import { streamOrder } from './order-stream.ts'
import { orderView, type OrderView } from './order-view.ts'
import { orders, place, type NewOrder } from './orders.ts'
import { problem, problemOf } from './problem.ts'

const idPattern = /^[A-Za-z0-9._-]{1,100}$/
const recentMax = 12
const bodyBytesMax = 64 * 1024

/** The price is the shop's. A customer may send the one he saw; if it has changed since, he is told. */
const orderRequest = z.object({
  customerId: z.string().regex(idPattern, 'must be 1 to 100 characters of A-Z a-z 0-9 . _ -'),
  items: z
    .array(
      z
        .object({
          productId: z.string(),
          quantity: z.int().min(1).max(100),
          price: z.number().nonnegative().multipleOf(0.01, 'must have at most two decimals').optional(),
        })
        .superRefine(({ productId, price }, context) => {
          const product = productOf(productId)
          const issue = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message })
          if (!product) issue('productId', `there is no product ${productId}; see GET /products`)
          else if (price !== undefined && price !== product.price) issue('price', `the price is ${product.price} now`)
        }),
    )
    .min(1, 'an order needs at least one item')
    .max(50),
})

const pageFiles = [
  ['/', 'index.html', 'text/html'],
  ['/page.css', 'page.css', 'text/css'],
  ['/page.js', 'page.js', 'text/javascript'],
  ['/order-track.js', 'order-track.js', 'text/javascript'],
] as const

export function orderApi(app: App, queries: OrderQueries): Hono<Served> {
  const api = new Hono<Served>()
  const contentSecurityPolicy = { defaultSrc: ["'self'"], imgSrc: ["'self'", 'data:'] }
  api.use(secureHeaders({ contentSecurityPolicy, strictTransportSecurity: false }))

  for (const [path, file, type] of pageFiles) {
    const text = readFileSync(new URL(`./page/${file}`, import.meta.url), 'utf8')
    api.get(path, (c) => c.body(text, 200, { 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-cache' }))
  }

  // Without the stock: that is the inventory's business, and would be old news by the time the page shows it.
  const products = catalogue.map(({ productId, name, price }) => ({ productId, name, price }))
  api.get('/products', (c) => c.json({ products }))
  api.get('/health', async (c) => c.json(await app.health()))
  const recentOrders = async () => ({ counts: await queries.counts(), orders: await queries.recent(recentMax) })
  api.get('/orders', async (c) => c.json(await recentOrders()))

  // Takes the order and answers at once: whether it can be paid and is in stock, nobody knows yet.
  api.post('/orders', bodyLimit({ maxSize: bodyBytesMax, onError: tooLarge }), async (c) => {
    const body: unknown = await c.req.json().catch(() => undefined)
    if (body === undefined) return problem(c, 400, { title: 'The body is not JSON' })
    const request = orderRequest.safeParse(body)
    if (!request.success) return problemOf(c, request.error)
    // The client's key becomes the order's id, so the same request can be sent again without ordering twice.
    const orderId = c.req.header('Idempotency-Key') ?? crypto.randomUUID()
    if (!idPattern.test(orderId))
      return problem(c, 400, { title: 'Idempotency-Key must be 1 to 100 characters of A-Z a-z 0-9 . _ -' })
    const order = pricedOrder(orderId, request.data)
    await app.transact(orders, (context) => place(order, context), { correlationId: orderId })
    const saved = (await queries.find(orderId))!
    if (!sameOrder(saved, order)) return problem(c, 422, { title: 'This Idempotency-Key was used for another order' })
    const location = `/orders/${orderId}`
    return c.json({ orderId, status: saved.status, totalAmount: saved.totalAmount, location }, 202, { location })
  })

  const view = async (orderId: string): Promise<OrderView | undefined> => {
    const order = await queries.find(orderId)
    return order && orderView(order, await app.flow(orderId))
  }
  const unknown = (orderId: string) => ({ title: 'No such order', detail: `There is no order ${orderId}.` })

  api.get('/orders/:id', async (c) => {
    const found = await view(c.req.param('id'))
    return found ? c.json(found) : problem(c, 404, unknown(c.req.param('id')))
  })

  api.get('/orders/:id/diagram', async (c) => {
    const orderId = c.req.param('id')
    if (!(await queries.find(orderId))) return problem(c, 404, unknown(orderId))
    return c.text(flowDiagram(await app.flow(orderId)))
  })

  api.get('/orders/:id/events', async (c) => {
    const orderId = c.req.param('id')
    if (!(await queries.find(orderId))) return problem(c, 404, unknown(orderId))
    return streamSSE(c, (stream) => streamOrder(stream, () => view(orderId)))
  })

  api.notFound((c) => problem(c, 404, { title: 'Not found' }))
  api.onError((error, c) => {
    console.error('request failed', error)
    return problem(c, 500, { title: 'Something went wrong', detail: 'Try again: the same Idempotency-Key is safe.' })
  })
  return api
}

const tooLarge = (c: Context) => problem(c, 413, { title: `The body has more than ${bodyBytesMax} bytes` })

function pricedOrder(orderId: string, { customerId, items }: z.infer<typeof orderRequest>): NewOrder {
  const priced = items.map(({ productId, quantity }) => ({ productId, quantity, price: productOf(productId)!.price }))
  return { orderId, customerId, items: priced }
}

function sameOrder(saved: OrderRow, order: NewOrder): boolean {
  return saved.customerId === order.customerId && JSON.stringify(saved.items) === JSON.stringify(order.items)
}
