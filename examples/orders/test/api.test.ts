import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OrderView } from '../src/order-view.ts'
import type { Problem } from '../src/problem.ts'
import { calm } from '../src/payment-provider/trouble.ts'
import { lampOrder, openShop, readEvents } from './open-shop.ts'

test('an order is accepted at once, with the place where it can be followed', async (t) => {
  const { api, post } = await openShop(t)
  const response = await post(lampOrder)
  assert.equal(response.status, 202)
  const location = response.headers.get('location')!
  assert.match(location, /^\/orders\/[0-9a-f-]{36}$/)
  assert.partialDeepStrictEqual(await response.json(), { status: 'pending', totalAmount: 129, location })
  assert.equal((await fetch(api + location)).status, 200)
})

test('its events come live, up to the end, and the mail is out by then', async (t) => {
  const { api, post, mailbox } = await openShop(t)
  const { location, orderId } = (await (await post(lampOrder)).json()) as { location: string; orderId: string }
  const events = await readEvents(await fetch(`${api}${location}/events`))
  const types = events.filter(({ event }) => event === 'event').map(({ data }) => data['type'])
  assert.deepEqual(
    new Set(types),
    new Set(['order.created', 'payment.processed', 'inventory.updated', 'order.completed']),
  )
  assert.equal(types.length, 4)
  assert.deepEqual(events.at(-1), { event: 'end', data: { orderId, status: 'completed' } })
  const status = events.filter(({ event }) => event === 'status').at(-1)!
  assert.deepEqual(status.data['steps'], { payment: 'paid', stock: 'reserved', mail: 'sent' })
  assert.equal(mailbox.mails().length, 1)
  const view = (await (await fetch(api + location)).json()) as OrderView
  assert.partialDeepStrictEqual(view, { status: 'completed', settled: true, totalAmount: 129 })
  const recent = (await (await fetch(`${api}/orders`)).json()) as { counts: object; orders: { orderId: string }[] }
  assert.deepEqual(recent.counts, { pending: 0, completed: 1, cancelled: 0 })
  assert.equal(recent.orders[0]?.orderId, orderId)
})

test('a cancelled order shows what was undone, and a retry shows as such', async (t) => {
  const troubleOf = ({ attempt }: { attempt: number }) => (attempt === 1 ? 'error after' : 'none')
  const { api, post } = await openShop(t, { trouble: { ...calm, troubleOf } })
  const response = await post({ customerId: 'ada', items: [{ productId: 'print', quantity: 5 }] })
  const events = await readEvents(await fetch(`${api}${response.headers.get('location')}/events`))
  const status = events.filter(({ event }) => event === 'status').at(-1)!
  assert.partialDeepStrictEqual(status.data, { status: 'cancelled', reason: 'out of stock' })
  assert.ok(['refunded', 'not charged'].includes((status.data['steps'] as { payment: string }).payment))
  const diagram = await (await fetch(`${api}${response.headers.get('location')}/diagram`)).text()
  assert.match(diagram, /^sequenceDiagram/)
})

test('while payments are away an order is open, and says so', async (t) => {
  const { api, post } = await openShop(t, { services: ['orders', 'inventory'] })
  const response = await post(lampOrder)
  const reserved = await fetch(`${api}${response.headers.get('location')}/events`)
  const events = await readEvents(reserved, (event) => event === 'status')
  assert.partialDeepStrictEqual(events.at(-1)?.data, { status: 'pending', settled: false })
})

test('the same Idempotency-Key is the same order; with another content it is refused', async (t) => {
  const { api, post } = await openShop(t)
  const key = { 'idempotency-key': 'my-order-1' }
  for (let i = 0; i < 3; i++) assert.equal((await post(lampOrder, key)).headers.get('location'), '/orders/my-order-1')
  assert.equal((await post({ ...lampOrder, customerId: 'eve' }, key)).status, 422)
  assert.equal((await post(lampOrder, { 'idempotency-key': 'not a key' })).status, 400)
  const { orders } = (await (await fetch(`${api}/orders`)).json()) as { orders: unknown[] }
  assert.equal(orders.length, 1)
})

const wrong: [what: string, body: unknown, path: string, message: RegExp][] = [
  ['no customer', { items: lampOrder.items }, 'customerId', /expected string/],
  ['an empty customer', { ...lampOrder, customerId: '' }, 'customerId', /1 to 100 characters/],
  ['no items', { customerId: 'ada', items: [] }, 'items', /at least one item/],
  [
    'an unknown product',
    { customerId: 'ada', items: [{ productId: 'x', quantity: 1 }] },
    'items.0.productId',
    /no product x/,
  ],
  ['a quantity of zero', { customerId: 'ada', items: [{ productId: 'lamp', quantity: 0 }] }, 'items.0.quantity', />=1/],
  ['half a lamp', { customerId: 'ada', items: [{ productId: 'lamp', quantity: 0.5 }] }, 'items.0.quantity', /int/],
  [
    "a price of one's own",
    { customerId: 'ada', items: [{ productId: 'lamp', quantity: 1, price: 1 }] },
    'items.0.price',
    /64\.5 now/,
  ],
  [
    'three decimals',
    { customerId: 'ada', items: [{ productId: 'lamp', quantity: 1, price: 64.501 }] },
    'items.0.price',
    /two decimals/,
  ],
]

test('a wrong order is refused as problem details, with path and message', async (t) => {
  const { api, post } = await openShop(t)
  for (const [what, body, path, message] of wrong) {
    const response = await post(body)
    assert.equal(response.status, 400, what)
    assert.equal(response.headers.get('content-type'), 'application/problem+json')
    const { errors } = (await response.json()) as Problem
    const found = errors?.find((error) => error.path === path && message.test(error.message))
    assert.ok(found, `${what}: ${JSON.stringify(errors)}`)
  }
  assert.equal((await fetch(`${api}/orders`, { method: 'POST', body: 'nonsense' })).status, 400)
  assert.equal((await post({ ...lampOrder, note: 'x'.repeat(100_000) })).status, 413)
  const { counts } = (await (await fetch(`${api}/orders`)).json()) as { counts: object }
  assert.deepEqual(counts, { pending: 0, completed: 0, cancelled: 0 })
})

test('what is not there is a problem, too', async (t) => {
  const { api } = await openShop(t)
  for (const path of ['/orders/nobody', '/orders/nobody/events', '/orders/nobody/diagram', '/nowhere'])
    assert.equal((await fetch(api + path)).status, 404, path)
})

test('the page and all that it refers to is served, and nothing comes from elsewhere', async (t) => {
  const { api } = await openShop(t)
  const html = await (await fetch(api)).text()
  const references = [...html.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map((match) => match[1]!)
  assert.deepEqual(references, ['/page.css', '/page.js'])
  for (const path of [...references, '/order-track.js']) assert.equal((await fetch(api + path)).status, 200, path)
  assert.doesNotMatch(html, /(?:src|href)="https?:/)
  assert.match((await fetch(api)).headers.get('content-security-policy')!, /default-src 'self'/)
})
