/** What the sending half makes of answers, and of none. */
import assert from 'node:assert/strict'
import { createServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { Webhook } from 'standardwebhooks'
import { isQuadrilleError, type OutgoingMessage, type QuadrilleError, type WireNotice } from 'quadrille'
import { manualEnv } from 'quadrille/testing'
import { http, type HttpTargetOptions, type HttpWire } from '@quadrille/http'
import { retryAfterMs } from '../src/webhook-target.ts'
import { contextOf, eventOf, outgoing, receiverOf, type Answer, type Seen } from './http-setup.ts'

const secret = `whsec_${Buffer.alloc(32, 1).toString('base64')}`

/** A wire to a receiver that answers so, closed after the test. */
async function sending(
  t: { after(fn: () => Promise<void>): void },
  answer: (seen: Seen) => Answer,
  options: Partial<HttpTargetOptions> = {},
) {
  const receiver = await receiverOf(answer)
  const notices: WireNotice[] = []
  const env = manualEnv()
  const wire = http({ target: { url: receiver.url, ...options } })
  await wire.open(contextOf(env, notices))
  t.after(async () => {
    await wire.close()
    await receiver.close()
  })
  return { wire, receiver, notices, env }
}

/** What send answers; where it throws, the error for each. */
const answers = (wire: HttpWire, messages: readonly OutgoingMessage[]): ReturnType<HttpWire['send']> =>
  wire.send(messages).catch((error: unknown) => messages.map(() => error as QuadrilleError))

const idOf = ({ body }: Seen): string => (JSON.parse(body.toString()) as { id: string }).id

for (const [status, code, retryable] of [
  [200, null, null],
  [202, null, null],
  [204, null, null],
  [400, 'WIRE_MESSAGE_REFUSED', false],
  [413, 'WIRE_MESSAGE_REFUSED', false],
  [422, 'WIRE_MESSAGE_REFUSED', false],
  [401, 'WIRE_SEND_FAILED', true],
  [404, 'WIRE_UNROUTABLE', true],
  [405, 'WIRE_SEND_FAILED', true],
  [409, 'WIRE_SEND_FAILED', true],
  [429, 'WIRE_UNREACHABLE', true],
  [500, 'WIRE_SEND_FAILED', true],
  [503, 'WIRE_UNREACHABLE', true],
] as const)
  test(`${status} means ${code ?? 'taken'}`, async (t) => {
    const { wire, receiver } = await sending(t, () => ({ status, body: status === 204 ? '' : 'because' }))
    const [result] = await answers(wire, [outgoing(eventOf())])
    assert.equal(result?.code ?? null, code)
    if (retryable !== null) assert.equal(result!.retryable, retryable)
    if (code && code !== 'WIRE_UNROUTABLE') assert.match(result!.message, /because/)
    assert.equal(receiver.seen.length, 1)
  })

test('a status that no standard knows is a failure that counts', async (t) => {
  const { wire } = await sending(t, () => ({ status: 999, body: 'because' }))
  const [result] = await answers(wire, [outgoing(eventOf())])
  assert.equal(result?.code, 'WIRE_SEND_FAILED')
  assert.match(result!.message, /it answered 999: because/)
})

/** A receiver that answers in bytes of its own, and says nothing of their end where `isOpen`. */
async function rawReceiver(t: TestContext, answer: string, isOpen: boolean): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => (isOpen ? socket.write(answer) : socket.end(answer)))
    t.after(() => socket.destroy())
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  t.after(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

for (const [what, rest, isOpen] of [
  ['is not encoded as it says', 'content-encoding: gzip\r\ncontent-length: 4\r\n\r\nfine', false],
  ['is cut off', 'content-length: 400\r\n\r\nfine', false],
  ['never ends', 'content-length: 400\r\n\r\nfine', true],
] as const)
  test(`the status decides, also when the body of the answer ${what}`, async (t) => {
    for (const [status, code] of [
      [200, null],
      [422, 'WIRE_MESSAGE_REFUSED'],
      [500, 'WIRE_SEND_FAILED'],
    ] as const) {
      const url = await rawReceiver(t, `HTTP/1.1 ${status} Said\r\n${rest}`, isOpen)
      const env = manualEnv()
      const answered = Promise.withResolvers<void>()
      const watched: typeof fetch = async (...args) => {
        const answer = await fetch(...args)
        answered.resolve()
        return answer
      }
      const wire = http({ target: { url, timeout: '2s', fetch: watched } })
      await wire.open(contextOf(env))
      t.after(() => wire.close())
      const sent = answers(wire, [outgoing(eventOf())])
      await answered.promise
      // What was taken does not wait for the end of the body; what was not waits no longer than for an answer.
      if (isOpen && status !== 200) await env.advance(2_000)
      assert.equal((await sent)[0]?.code ?? null, code)
    }
  })

test('in binary mode an event with an attribute that can be no header is refused, and the others go on', async (t) => {
  const { wire, receiver } = await sending(t, () => ({ status: 202 }), { mode: 'binary' })
  const odd = ['my ext', 'a:b', 'é', 'line\n'].map((name) => JSON.stringify({ [name]: 'x' }))
  const legal = JSON.stringify({ Tenant_1: 'x', subject: null })
  const events = [...odd, legal].map((extensions) => outgoing(eventOf({ extensions })))
  const results = await wire.send(events)
  assert.deepEqual(
    results.map((result) => result?.code ?? null),
    [...odd.map(() => 'WIRE_MESSAGE_REFUSED'), null],
  )
  assert.match(results[0]!.message, /"ce-my ext" can be no header/)
  assert.equal(receiver.seen.length, 1)
  assert.equal(receiver.seen[0]!.headers['ce-tenant_1'], 'x')
  assert.equal(receiver.seen[0]!.headers['ce-subject'], undefined)
})

test('a redirect is not followed: the events would go where nobody has said', async (t) => {
  const { wire, receiver } = await sending(t, () => ({ status: 307, headers: { location: '/elsewhere' } }))
  const [result] = await wire.send([outgoing(eventOf())])
  assert.equal(result!.code, 'WIRE_SEND_FAILED')
  assert.equal(receiver.seen.length, 1)
})

test('after a failure the later events of its key are held, other keys go on', async (t) => {
  const bad = eventOf({ key: 'a' })
  const { wire, receiver } = await sending(t, (seen) => ({ status: idOf(seen) === bad.id ? 500 : 202 }))
  const events = [eventOf({ key: 'a' }), bad, eventOf({ key: 'b' }), eventOf({ key: 'a' }), eventOf({ key: 'b' })]
  const results = await wire.send(events.map(outgoing))
  const codes = results.map((result) => result?.code ?? null)
  assert.deepEqual(codes, [null, 'WIRE_SEND_FAILED', null, 'WIRE_SEND_HELD', null])
  assert.equal(receiver.seen.map(idOf).includes(events[3]!.id), false)
})

test('no more requests at once than allowed', async (t) => {
  let running = 0
  let most = 0
  const pause = () => new Promise((done) => setImmediate(() => setImmediate(done)))
  const { wire, receiver } = await sending(
    t,
    () => {
      running += 1
      most = Math.max(most, running)
      return { status: 202, after: pause().then(() => void (running -= 1)) }
    },
    { concurrency: 3 },
  )
  const results = await wire.send(Array.from({ length: 20 }, (_, n) => outgoing(eventOf({ key: `k${n}` }))))
  assert.equal(
    results.every((result) => result === null),
    true,
  )
  assert.equal(receiver.seen.length, 20)
  assert.equal(most <= 3, true, `${most} at once`)
})

test('a receiver that says when is not asked before', async (t) => {
  let status = 429
  const { wire, receiver, env } = await sending(t, () => ({ status, headers: { 'retry-after': '30' } }))
  const event = outgoing(eventOf())
  assert.equal((await answers(wire, [event]))[0]!.code, 'WIRE_UNREACHABLE')
  status = 202
  const [waiting] = await answers(wire, [event])
  assert.match(waiting!.message, /another 30 s/)
  assert.equal(receiver.seen.length, 1)
  await env.advance(30_000)
  assert.deepEqual(await wire.send([event]), [null])
})

test('a receiver that is gone is asked again rarely, and health says so', async (t) => {
  const { wire, receiver, env } = await sending(t, () => ({ status: 410 }))
  const event = outgoing(eventOf())
  assert.equal((await answers(wire, [event]))[0]!.retryable, true)
  assert.match((await wire.health()).problems[0]!, /410.*take this wire out/)
  await env.advance(299_000)
  await answers(wire, [event])
  assert.equal(receiver.seen.length, 1)
  await env.advance(1_000)
  await answers(wire, [event])
  assert.equal(receiver.seen.length, 2)
})

test('no answer in time is a failure that can be retried', async (t) => {
  const { wire, env } = await sending(t, () => ({ status: 202, after: new Promise(() => {}) }), { timeout: '2s' })
  const sent = wire.send([outgoing(eventOf())]).catch((error: unknown) => error)
  while (env.nextTimerAt() === Infinity) await new Promise(setImmediate)
  await env.advance(2_000)
  const error = await sent
  assert.equal(isQuadrilleError(error, 'WIRE_UNREACHABLE'), true)
  assert.match(String(error), /no answer within 2000 ms/)
})

test('a receiver that is away is told as lost, and as restored when it is back', async (t) => {
  const { wire, receiver, notices } = await sending(t, () => ({ status: 202 }))
  const real = globalThis.fetch
  let away = true
  const flaky = http({
    target: {
      url: receiver.url,
      fetch: (input, init) => (away ? Promise.reject(new TypeError('connection refused')) : real(input, init)),
    },
  })
  await flaky.open(contextOf(undefined, notices))
  t.after(() => flaky.close())
  const events = ['a', 'b', 'a'].map((key) => outgoing(eventOf({ key })))
  await assert.rejects(flaky.send(events), (error) => isQuadrilleError(error, 'WIRE_UNREACHABLE'))
  assert.equal((await flaky.health()).problems.length, 1)
  away = false
  assert.deepEqual(await flaky.send(events), [null, null, null])
  assert.deepEqual(
    notices.map(({ kind }) => kind),
    ['lost', 'restored'],
  )
  assert.equal((await flaky.health()).problems.length, 0)
  await wire.close()
})

test('a batch is one request, in order; one that is too large is refused alone', async (t) => {
  const { wire, receiver } = await sending(t, () => ({ status: 202 }), {
    mode: 'batch',
    batchMax: 3,
    bodyBytesMax: 5_000,
  })
  const large = eventOf({ data: JSON.stringify('x'.repeat(5_000)) })
  const events = [eventOf(), eventOf(), large, eventOf(), eventOf()]
  const results = await wire.send(events.map(outgoing))
  assert.deepEqual(
    results.map((result) => result?.code ?? null),
    [null, null, 'WIRE_MESSAGE_REFUSED', null, null],
  )
  const bodies = receiver.seen.map(({ body }) => (JSON.parse(body.toString()) as { id: string }[]).map(({ id }) => id))
  assert.deepEqual(
    bodies,
    [[events[0], events[1], events[3]], [events[4]]].map((batch) => batch.map((event) => event!.id)),
  )
})

test('what is behind a batch that fails is not sent: it may be of the same key', async (t) => {
  const { wire, receiver } = await sending(t, () => ({ status: receiver.seen.length === 1 ? 500 : 202 }), {
    mode: 'batch',
    batchMax: 2,
  })
  const results = await wire.send([1, 2, 3, 4].map(() => outgoing(eventOf())))
  assert.deepEqual(
    results.map((result) => result?.retryable),
    [true, true, true, true],
  )
  assert.equal(receiver.seen.length, 1)
})

test('a batch that is refused is sent one by one, so that only the bad one is refused', async (t) => {
  const bad = eventOf({ key: 'b' })
  const { wire } = await sending(t, ({ body }) => ({ status: body.includes(bad.id) ? 422 : 202 }), { mode: 'batch' })
  const results = await wire.send([eventOf(), bad, eventOf()].map(outgoing))
  assert.deepEqual(
    results.map((result) => result?.code ?? null),
    [null, 'WIRE_MESSAGE_REFUSED', null],
  )
})

test('requests are signed with every key, and the id stays the same on a retry', async (t) => {
  const other = `whsec_${Buffer.alloc(32, 2).toString('base64')}`
  const now = Date.now()
  let status = 500
  const { wire, receiver, env } = await sending(t, () => ({ status }), { secret: [secret, other] })
  await env.advance(Math.max(0, now - env.now()))
  const message = outgoing(eventOf({ id: 'with.stop' }))
  await wire.send([message])
  status = 202
  await wire.send([message])
  const [first, second] = receiver.seen
  assert.equal(first!.headers['webhook-id'], second!.headers['webhook-id'])
  for (const each of [secret, other]) {
    const event = new Webhook(each).verify(first!.body, first!.headers as Record<string, string>)
    assert.equal((event as { id: string }).id, 'with.stop')
  }
})

test('where an origin is given, permission is asked for once, and the rate is kept', async (t) => {
  let allow = false
  const { wire, receiver, env } = await sending(
    t,
    ({ method, headers }) =>
      method === 'OPTIONS' && allow
        ? {
            status: 200,
            headers: {
              'webhook-allowed-origin': String(headers['webhook-request-origin']),
              'webhook-allowed-rate': '60',
            },
          }
        : { status: method === 'OPTIONS' ? 405 : 202 },
    { origin: 'shop.example.com' },
  )
  await assert.rejects(wire.send([outgoing(eventOf())]), /does not allow shop.example.com/)
  allow = true
  const sent = wire.send([1, 2, 3].map((n) => outgoing(eventOf({ key: `k${n}` }))))
  const posts = () => receiver.seen.filter(({ method }) => method === 'POST').length
  const until = async (count: number) => {
    while (posts() < count) await new Promise(setImmediate)
  }
  await until(1)
  await env.advance(999)
  assert.equal(posts(), 1)
  await env.advance(1)
  await until(2)
  await env.advance(1_000)
  assert.deepEqual(await sent, [null, null, null])
  assert.equal(receiver.seen.filter(({ method }) => method === 'OPTIONS').length, 2)
})

test('options that make no sense are refused', () => {
  const wrong: Partial<HttpTargetOptions>[] = [
    { url: 'not a url' },
    { url: 'ftp://example.com' },
    { mode: 'binary', secret },
    { secret: 'short' },
    { concurrency: 0 },
    { concurrency: 1001 },
    { batchMax: 1.5 },
    { mode: 'xml' as never },
    { secret: undefined as never },
    { secret: [] },
    { secret: [undefined as never] },
    { timout: '1s' } as object,
  ]
  for (const target of wrong)
    assert.throws(
      () => http({ target: { url: 'http://localhost', ...target } }),
      (error) => isQuadrilleError(error, 'OPTION_INVALID'),
    )
})

test('an endpoint whose secret is not set is refused: it would accept everything', () => {
  for (const endpoint of [{ secret: undefined as never }, { secret: [] }, { secrt: secret }])
    assert.throws(() => http({ endpoint }), { code: 'OPTION_INVALID', message: /endpoint\.secr/ })
  assert.throws(() => http({ tagret: {} } as object), { code: 'OPTION_INVALID', message: /did you mean target/ })
})

test('what Retry-After says', () => {
  assert.equal(retryAfterMs(null, 0), 0)
  assert.equal(retryAfterMs('7', 0), 7_000)
  assert.equal(retryAfterMs('Thu, 26 Nov 2026 00:00:10 GMT', Date.UTC(2026, 10, 26)), 10_000)
  assert.equal(retryAfterMs('soon', 0), 0)
})
