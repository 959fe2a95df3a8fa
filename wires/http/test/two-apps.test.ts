/** Two apps with ledgers of their own, joined by webhooks; and the endpoint in a function that runs on invocation. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { cloudEventText, event, service, silentLogger, start } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import * as z from 'zod'
import { http, nodeListener, serverless, type HttpMode } from '@quadrille/http'
import { eventOf } from './http-setup.ts'

const schema = z.object({ orderId: z.string() })
const Created = event('order.created', { key: 'orderId', schema })
const Paid = event('payment.processed', { key: 'orderId', schema })
const secret = `whsec_${Buffer.alloc(32, 5).toString('base64')}`

for (const mode of ['structured', 'batch'] satisfies HttpMode[])
  test(`orders and payments over signed webhooks, ${mode}: there and back, each once, in order`, async (t) => {
    // Addresses first: each side posts to the other.
    const servers = [createServer(), createServer()]
    const urls: string[] = []
    for (const server of servers) {
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
      urls.push(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
      t.after(() => {
        server.closeAllConnections()
        server.close()
      })
    }
    const paid: string[] = []
    const charged: string[] = []
    const orders = service('orders').on(Paid, ({ orderId }) => void paid.push(orderId))
    const payments = service('payments').on(Created, { emits: [Paid] }, ({ orderId }) => {
      charged.push(orderId)
      return Paid({ orderId })
    })
    const wires = [urls[1]!, urls[0]!].map((url) => http({ target: { url, mode, secret }, endpoint: { secret } }))
    servers.forEach((server, index) => server.on('request', nodeListener(wires[index]!)))
    const shop = await start({ services: [orders], wires: [wires[0]!], log: silentLogger })
    t.after(() => shop.stop())
    // The receiver is away for a while: events wait in the ledger.
    for (let n = 0; n < 30; n++) await shop.publish(Created({ orderId: `o-${n}` }))
    const bank = await start({ services: [payments], wires: [wires[1]!], log: silentLogger })
    t.after(() => bank.stop())
    while (paid.length < 30) await new Promise((done) => setTimeout(done, 10))
    assert.deepEqual([...charged].sort(), [...paid].sort())
    assert.equal(new Set(paid).size, 30)
  })

test('a function takes events, handles them before it answers, and an empty POST is a tick', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'quadrille-function-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const handled: string[] = []
  const payments = service('payments').on(Created, ({ orderId }) => void handled.push(orderId))
  const wire = http({ endpoint: {} })
  const begin = () =>
    start({ services: [payments], ledger: sqlite(join(folder, 'f.db')), wires: [wire], log: silentLogger })
  const handle = serverless({ wire, start: begin })
  const post = (id: string) =>
    new Request('https://function.example.com/', {
      method: 'POST',
      headers: { 'content-type': 'application/cloudevents+json' },
      body: cloudEventText(eventOf({ id, data: `{"orderId":"${id}"}` })),
    })
  assert.equal((await handle(post('o-1'))).status, 202)
  assert.deepEqual(handled, ['o-1'])
  assert.equal((await handle(post('o-1'))).status, 202)
  const answers = await Promise.all(['o-2', 'o-3', 'o-4'].map((id) => handle(post(id))))
  assert.deepEqual(
    answers.map(({ status }) => status),
    [202, 202, 202],
  )
  assert.deepEqual(handled.toSorted(), ['o-1', 'o-2', 'o-3', 'o-4'])
  assert.equal((await handle(new Request('https://function.example.com/', { method: 'POST' }))).status, 204)
  // What Google's scheduler sends, and an event that has no data: that is none.
  const empty = { 'content-type': 'application/octet-stream', 'content-length': '0' }
  const url = 'https://function.example.com/'
  assert.equal((await handle(new Request(url, { method: 'POST', headers: empty, body: '' }))).status, 204)
  const bare = { 'ce-specversion': '1.0', 'ce-id': 'b', 'ce-type': 'order.created', 'ce-source': 'x' }
  assert.equal((await handle(new Request(url, { method: 'POST', headers: bare }))).status, 202)
  const later: Promise<unknown>[] = []
  assert.equal((await handle(post('o-5'), { waitUntil: (promise) => void later.push(promise) })).status, 202)
  await Promise.all(later)
  assert.equal(handled.includes('o-5'), true)
})

test('a function that can not start asks the sender to come again', async () => {
  const wire = http({ endpoint: {} })
  const handle = serverless({ wire, start: () => Promise.reject(new TypeError('no database')) })
  const response = await handle(new Request('https://function.example.com/', { method: 'POST', body: '{}' }))
  assert.equal(response.status, 503)
  assert.equal(response.headers.get('retry-after'), '5')
})
