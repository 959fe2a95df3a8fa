/** What the endpoint answers, and what it has done by then. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { Hono } from 'hono'
import { cloudEventText, QuadrilleError, silentLogger, type IncomingMessage } from 'quadrille'
import { http, nodeListener, signWebhook, type HttpEndpointOptions } from '@quadrille/http'
import { encodeBatch, encodeBinary, encodeStructured, type Encoded } from '../src/http-binding.ts'
import { secretKey } from '../src/webhook-signature.ts'
import { contextOf, eventOf } from './http-setup.ts'

const secret = `whsec_${Buffer.alloc(32, 1).toString('base64')}`
const older = `whsec_${Buffer.alloc(32, 2).toString('base64')}`
const address = 'http://localhost/events'

const post = ({ headers, body }: Encoded, more: Record<string, string> = {}): Request =>
  new Request(address, { method: 'POST', headers: { ...headers, ...more }, body })

/** An open endpoint that stores into a list, for the types a and order.created. */
async function opened(
  endpoint: HttpEndpointOptions = {},
  store?: (batch: readonly IncomingMessage[]) => Promise<void>,
) {
  const wire = http({ endpoint })
  const taken: IncomingMessage[] = []
  await wire.open(contextOf())
  const types = ['order.created', 'a'].map((type) => ({ type, patterns: null }))
  const receiver = await wire.receive({ service: 's', types, from: 'now', instance: 'i' }, async (batch) => {
    await store?.(batch)
    taken.push(...batch)
  })
  return { wire, taken, receiver }
}

test('the answer comes after the commit', async () => {
  const gate = Promise.withResolvers<void>()
  const { wire, taken } = await opened({}, () => gate.promise)
  let status = 0
  const answering = wire.fetch(post(encodeStructured(eventOf()))).then((response) => (status = response.status))
  await new Promise(setImmediate)
  assert.equal(status, 0)
  gate.resolve()
  await answering
  assert.equal(status, 202)
  assert.equal(taken.length, 1)
})

test('what the ledger refuses is answered 503, and the sender is asked to come again', async () => {
  const { wire, taken } = await opened({}, async () => {
    throw new QuadrilleError('LEDGER_CONFLICT', { ledger: 'l', message: 'busy' })
  })
  const response = await wire.fetch(post(encodeStructured(eventOf())))
  assert.equal(response.status, 503)
  assert.equal(response.headers.get('retry-after'), '1')
  assert.equal(taken.length, 0)
  assert.equal((await wire.health()).facts['notStored'], 1)
})

test('every mode is taken, a batch in its order', async () => {
  const { wire, taken } = await opened()
  const [one, two, three] = [eventOf(), eventOf(), eventOf()]
  assert.equal((await wire.fetch(post(encodeStructured(one)))).status, 202)
  assert.equal((await wire.fetch(post(encodeBinary(two)))).status, 202)
  assert.equal((await wire.fetch(post(encodeBatch([three, one].map(cloudEventText))))).status, 202)
  assert.equal(taken[1]!.attributes!['id'], two.id)
  const ids = [2, 3].map((at) => (JSON.parse(Buffer.from(taken[at]!.body).toString()) as { id: string }).id)
  assert.deepEqual(ids, [three.id, one.id])
  const parsed = [0, 2, 3].map((at) => (taken[at]!.parsed!.json as { id: string }).id)
  assert.deepEqual(parsed, [one.id, three.id, one.id], 'parsed once, for whoever comes next')
})

test('a batch means the same whoever has written it, and data come as they were sent', async () => {
  const { wire, taken } = await opened()
  const awkward = [
    '12345678901234567890',
    '[{"a":1},{"specversion":"1.0","id":"x"},{"specversion":"1.0"}]',
    '"},{é"',
    '{}',
  ]
  const texts = awkward.map((data) => cloudEventText(eventOf({ data })))
  const written = [
    `[${texts.join(',')}]`,
    `[${texts[0]},${texts[3]}]`,
    ` [ ${texts.join(' , ')} ] `,
    JSON.stringify(
      texts.map((text) => JSON.parse(text) as unknown),
      null,
      2,
    ),
    '[]',
  ]
  for (const body of written) {
    taken.length = 0
    const headers = { 'content-type': 'application/cloudevents-batch+json' }
    assert.equal((await wire.fetch(post({ headers, body: Buffer.from(body) }))).status, 202)
    const events = JSON.parse(body) as unknown[]
    assert.deepEqual(
      taken.map(({ parsed }) => parsed!.json),
      events,
    )
    const bodies = taken.map((message) => JSON.parse(Buffer.from(message.body).toString()) as unknown)
    assert.deepEqual(bodies, events)
    if (body === written[1])
      assert.deepEqual(
        taken.map(({ parsed }) => parsed!.dataText),
        [awkward[0], awkward[3]],
      )
  }
})

test('a batch is handed on in parts of at most 500', async () => {
  const sizes: number[] = []
  const { wire } = await opened({}, async (batch) => void sizes.push(batch.length))
  await wire.fetch(post(encodeBatch(Array.from({ length: 1_001 }, () => cloudEventText(eventOf())))))
  assert.deepEqual(sizes, [500, 500, 1])
})

test('bytes that are no event are taken: they are a dead letter, and nobody needs to send them again', async () => {
  const { wire, taken } = await opened()
  const structured = { 'content-type': 'application/cloudevents+json' }
  const batch = { 'content-type': 'application/cloudevents-batch+json' }
  const bodies = [Buffer.from([0, 255, 1]), Buffer.from('{ "not": "finished')]
  for (const headers of [structured, batch])
    for (const body of bodies) assert.equal((await wire.fetch(post({ headers, body }))).status, 202)
  assert.deepEqual(
    taken.map(({ body }) => Buffer.from(body)),
    [...bodies, ...bodies],
  )
})

test('a type that no service receives is not found, and a batch with one is not taken at all', async () => {
  const { wire, taken } = await opened()
  const unknown = eventOf({ type: 'unknown' })
  assert.equal((await wire.fetch(post(encodeStructured(unknown)))).status, 404)
  const mixed = encodeBatch([cloudEventText(eventOf()), cloudEventText(unknown)])
  assert.equal((await wire.fetch(post(mixed))).status, 404)
  assert.equal(taken.length, 0)
})

for (const [what, headers] of [
  ['a form', { 'content-type': 'application/x-www-form-urlencoded' }],
  ['JSON that says nothing of CloudEvents', { 'content-type': 'application/json' }],
  ['CloudEvents in another format', { 'content-type': 'application/cloudevents+xml', 'ce-specversion': '1.0' }],
  ['another character set', { 'content-type': 'application/cloudevents+json; charset=latin1' }],
  ['a compressed body', { 'content-type': 'application/cloudevents+json', 'content-encoding': 'gzip' }],
] as const)
  test(`${what} is no media type for it`, async () => {
    const { wire, taken } = await opened()
    assert.equal((await wire.fetch(post({ headers, body: Buffer.from('{}') }))).status, 415)
    assert.equal(taken.length, 0)
  })

test('UTF-8 is taken under each of its names, and a body that says that it is not compressed', async () => {
  const { wire, taken } = await opened()
  for (const charset of ['utf-8', 'UTF8', '"utf-8"', 'us-ascii']) {
    const headers = {
      'content-type': `application/cloudevents+json; charset=${charset}`,
      'content-encoding': 'identity',
    }
    assert.equal((await wire.fetch(post({ ...encodeStructured(eventOf()), headers }))).status, 202, charset)
  }
  assert.equal(taken.length, 4)
})

test('only POST and OPTIONS are answered', async () => {
  const { wire } = await opened()
  const response = await wire.fetch(new Request(address))
  assert.equal(response.status, 405)
  assert.equal(response.headers.get('allow'), 'POST, OPTIONS')
})

test('a body is read up to its limit and not further', async () => {
  const event = encodeStructured(eventOf())
  const { wire, taken } = await opened({ bodyBytesMax: event.body.length })
  assert.equal((await wire.fetch(post(event))).status, 202)
  const larger = { ...event, body: Buffer.concat([event.body, Buffer.from(' ')]) }
  assert.equal((await wire.fetch(post(larger))).status, 413)
  let pulled = 0
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled += 1
      controller.enqueue(event.body)
    },
  })
  const request = new Request(address, { method: 'POST', headers: event.headers, body: endless, duplex: 'half' })
  assert.equal((await wire.fetch(request)).status, 413)
  assert.equal(pulled < 10, true)
  assert.equal(taken.length, 1)
})

function signed(event: Encoded, keys: readonly string[], atMs = Date.now()): Record<string, string> {
  const id = 'msg_1'
  const timestamp = Math.floor(atMs / 1000)
  const signature = signWebhook(
    keys.map((key) => secretKey(key)!),
    { id, timestamp, body: event.body },
  )
  return { 'webhook-id': id, 'webhook-timestamp': String(timestamp), 'webhook-signature': signature }
}

test('with a secret, only what is signed with it is taken', async () => {
  const { wire, taken } = await opened({ secret: [secret, older] })
  const event = encodeStructured(eventOf())
  const status = async (headers: Record<string, string>) => (await wire.fetch(post(event, headers))).status
  assert.equal(await status({}), 401)
  assert.equal(await status(signed(encodeStructured(eventOf()), [secret])), 401)
  assert.equal(await status(signed(event, [`whsec_${Buffer.alloc(32, 9).toString('base64')}`])), 401)
  assert.equal(await status(signed(event, [secret], Date.now() - 301_000)), 401)
  assert.equal(await status(signed(event, [secret], Date.now() + 302_000)), 401)
  assert.equal(taken.length, 0)
  assert.equal(await status(signed(event, [secret])), 202)
  assert.equal(await status(signed(event, [older])), 202)
  assert.equal(await status(signed(event, [secret], Date.now() - 298_000)), 202)
  assert.equal(taken.length, 3)
})

test('with a secret, binary mode is refused: its attributes are not signed', async () => {
  const { wire } = await opened({ secret })
  const event = encodeBinary(eventOf())
  assert.equal((await wire.fetch(post(event, signed(event, [secret])))).status, 401)
})

test('who is not authorized is turned away before the body is read', async () => {
  const { wire } = await opened({ authorize: (request) => request.headers.get('authorization') === 'Bearer x' })
  const event = encodeStructured(eventOf())
  const unread = post(event)
  assert.equal((await wire.fetch(unread)).status, 401)
  assert.equal(unread.bodyUsed, false)
  assert.equal((await wire.fetch(post(event, { authorization: 'Bearer x' }))).status, 202)
})

test('a request is turned away when authorize fails over it, and that is logged', async () => {
  const warned: unknown[] = []
  const log = { ...silentLogger, warn: (fields: object) => void warned.push((fields as { err?: unknown }).err) }
  const failure = new TypeError('no token')
  for (const authorize of [
    () => {
      throw failure
    },
    () => Promise.reject(failure),
  ]) {
    const wire = http({ endpoint: { authorize } })
    await wire.open({ ...contextOf(), log })
    assert.equal((await wire.fetch(post(encodeStructured(eventOf())))).status, 401)
    assert.equal((await wire.health()).facts['turnedAway'], 1)
    await wire.close()
  }
  assert.deepEqual(warned, [failure, failure])
})

test('the handshake of CloudEvents webhooks allows the origins that are named', async () => {
  const { wire } = await opened({ origins: ['eventgrid.azure.net'], requestsPerMinute: 120 })
  const ask = (origin: string) =>
    wire.fetch(new Request(address, { method: 'OPTIONS', headers: { 'webhook-request-origin': origin } }))
  const allowed = await ask('EventGrid.azure.net')
  assert.equal(allowed.status, 200)
  assert.equal(allowed.headers.get('webhook-allowed-origin'), 'EventGrid.azure.net')
  assert.equal(allowed.headers.get('webhook-allowed-rate'), '120')
  const refused = await ask('evil.example.com')
  assert.equal(refused.status, 403)
  assert.equal(refused.headers.get('webhook-allowed-origin'), null)
  const all = await opened({ origins: '*' })
  const anyone = await all.wire.fetch(
    new Request(address, { method: 'OPTIONS', headers: { 'webhook-request-origin': 'any.example.com' } }),
  )
  assert.equal(anyone.headers.get('webhook-allowed-rate'), '*')
})

test('more requests at once than allowed are asked to come again', async () => {
  const gate = Promise.withResolvers<void>()
  const { wire, taken } = await opened({ concurrency: 2 }, () => gate.promise)
  const requests = [1, 2, 3].map(() => wire.fetch(post(encodeStructured(eventOf()))))
  assert.equal((await requests[2])!.status, 503)
  gate.resolve()
  assert.deepEqual(await Promise.all(requests.slice(0, 2).map(async (one) => (await one).status)), [202, 202])
  assert.equal(taken.length, 2)
})

test('stop waits for what is being stored; before start and after stop the sender is asked to come again', async () => {
  const closed = http({ endpoint: {} })
  assert.equal((await closed.fetch(post(encodeStructured(eventOf())))).status, 503)
  const gate = Promise.withResolvers<void>()
  const { wire, taken, receiver } = await opened({}, () => gate.promise)
  const answering = wire.fetch(post(encodeStructured(eventOf())))
  await new Promise(setImmediate)
  let stopped = false
  const stopping = receiver.stop().then(() => (stopped = true))
  assert.equal((await wire.fetch(post(encodeStructured(eventOf())))).status, 503)
  assert.equal(stopped, false)
  gate.resolve()
  await stopping
  assert.equal((await answering).status, 202)
  assert.equal(taken.length, 1)
  await wire.close()
  assert.equal((await wire.fetch(post(encodeStructured(eventOf())))).status, 503)
})

test('it is a handler for Hono, and a listener for node:http', async () => {
  const { wire, taken } = await opened({ bodyBytesMax: 10_000 })
  const app = new Hono()
  app.all('/events', (context) => wire.fetch(context.req.raw))
  const { headers, body } = encodeStructured(eventOf())
  assert.equal((await app.request('/events', { method: 'POST', headers, body })).status, 202)

  const server = createServer(nodeListener(wire))
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  try {
    assert.equal((await fetch(url, { method: 'POST', headers, body })).status, 202)
    assert.equal((await fetch(url, { method: 'POST', headers, body: Buffer.alloc(1_000_000) })).status, 413)
    assert.equal((await fetch(url)).status, 405)
    assert.equal(taken.length, 2)
  } finally {
    server.closeAllConnections()
    await new Promise((done) => server.close(done))
  }
})
