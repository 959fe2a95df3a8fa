/** What a real SDK gets to see: spans that hang together, and metrics. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { AlwaysOffSampler, type ReadableSpan } from '@opentelemetry/sdk-trace'
import * as conventions from '@opentelemetry/semantic-conventions/incubating'
import { openTelemetry } from '@quadrille/opentelemetry'
import { service, silentLogger, start, type App, type StartOptions } from 'quadrille'
import { memoryHub } from 'quadrille/memory'
import { sqlite } from 'quadrille/sqlite'
import { world } from 'quadrille/testing'
import { attributes, metricNames, system } from '../src/semantic-names.ts'
import { Cancelled, insideOf, Ordered, Paid, sdk, Shipped } from './setup.ts'

const named = (spans: readonly ReadableSpan[], name: string): ReadableSpan => {
  const found = spans.filter((span) => span.name === name)
  assert.equal(found.length, 1, `${found.length} spans are called ${name}`)
  return found[0]!
}

const isChildOf = (child: ReadableSpan, parent: ReadableSpan): void => {
  assert.equal(
    child.spanContext().traceId,
    parent.spanContext().traceId,
    `${child.name} is in the trace of ${parent.name}`,
  )
  assert.equal(
    child.parentSpanContext?.spanId,
    parent.spanContext().spanId,
    `${child.name} is a child of ${parent.name}`,
  )
}

const linksOf = ({ links }: ReadableSpan): string[] => links.map((link) => link.context.spanId)

const quiet = async (...apps: readonly App[]): Promise<void> => {
  for (const app of apps) await app.quiet()
}

async function app(t: TestContext, options: StartOptions): Promise<App> {
  const started = await start({ log: silentLogger, poll: '50ms', ...options })
  t.after(() => started.stop())
  return started
}

const payments = () => service('payments').on(Ordered, { emits: [Paid] }, ({ id }) => Paid({ id }))
const shipping = () => service('shipping').on(Paid, { emits: [Shipped] }, ({ id }) => Shipped({ id }))

test('a conversation is one trace, from the request to the last handler', async () => {
  const otel = sdk()
  const w = await world([payments(), shipping()], { tracing: openTelemetry(otel.providers) })
  const request = otel.tracer.startSpan('POST /orders')
  const token = await insideOf(request, () => w.publish(Ordered({ id: 'a' })))
  await w.settled()
  await w.stop()
  const spans = await otel.spans()
  const [create, pay, ship] = ['create ordered', 'process ordered', 'process paid'].map((name) => named(spans, name))
  isChildOf(create!, named(spans, 'POST /orders'))
  isChildOf(pay!, create!)
  isChildOf(ship!, pay!)
  assert.deepEqual([create!.kind, pay!.kind], [SpanKind.PRODUCER, SpanKind.CONSUMER])
  assert.deepEqual(linksOf(ship!), [pay!.spanContext().spanId], 'linked as well, as the conventions want it')
  assert.equal(pay!.status.code, SpanStatusCode.UNSET)
  const { id } = token.events[0]!
  assert.deepEqual(pay!.attributes, {
    'messaging.system': 'quadrille',
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.name': 'ordered',
    'messaging.consumer.group.name': 'payments',
    'messaging.message.id': id,
    'messaging.message.conversation_id': token.correlationId,
    'quadrille.reaction': 'ordered',
    'quadrille.role': 'run',
    'quadrille.attempt': 1,
  })
  assert.equal(spans.length, 4, 'nobody reacts to shipped')
})

test('two requests at the same time: each event is in the trace of its own', async (t) => {
  const otel = sdk()
  const orders = service('orders')
  const a = await app(t, { services: [orders, payments()], tracing: openTelemetry(otel.providers) })
  const requests = Array.from({ length: 10 }, (_, n) => otel.tracer.startSpan(`request ${n}`))
  await Promise.all(
    requests.map((span, n) =>
      insideOf(span, () =>
        a.transact(orders, async () => {
          await new Promise((resolve) => setImmediate(resolve))
          return Ordered({ id: `k${n}`, n })
        }),
      ),
    ),
  )
  await quiet(a)
  const spans = await otel.spans()
  const processed = spans.filter(({ name }) => name === 'process ordered')
  assert.deepEqual(
    processed.map((span) => span.spanContext().traceId).toSorted(),
    requests.map((span) => span.spanContext().traceId).toSorted(),
  )
})

for (const batch of [undefined, { size: 10 }]) {
  test(`a join is linked to where all its parts come from${batch ? ', also in a batch' : ', also when it is late'}`, async () => {
    const otel = sdk()
    const joins = service('joins').all([Paid, Shipped], { batch, within: '1m', late: () => {} }, () => {})
    const w = await world([joins], { tracing: openTelemetry(otel.providers) })
    await w.publish(Paid({ id: 'a' }))
    await w.publish(Paid({ id: 'late' }))
    await w.settled()
    await w.publish(Shipped({ id: 'a' }))
    await w.advance('2m')
    await w.stop()
    const spans = await otel.spans()
    const created = (name: string) => spans.filter((span) => span.name === `create ${name}`)
    const [paid, paidLate] = created('paid').map((span) => span.spanContext().spanId)
    const [shipped] = created('shipped').map((span) => span.spanContext().spanId)
    assert.deepEqual(linksOf(named(spans, 'process shipped')), [shipped, paid])
    assert.deepEqual(linksOf(named(spans, 'process paid')), [paidLate])
    isChildOf(named(spans, 'process shipped'), named(spans, 'create shipped'))
  })
}

test('a try that fails is a span with its error, and the next one stands beside it', async () => {
  const otel = sdk()
  const flaky = service('flaky').on(Ordered, { retry: { base: '1s' } }, async ({ id }, { attempt }) => {
    await Promise.resolve()
    if (attempt === 1) throw new TypeError(`no ${id}`)
  })
  const w = await world([flaky], { tracing: openTelemetry(otel.providers), errors: 'keep' })
  await w.publish(Ordered({ id: 'a' }))
  await w.advance('1m')
  await w.stop()
  const spans = await otel.spans()
  const create = named(spans, 'create ordered')
  const [first, second, ...more] = spans.filter(({ name }) => name === 'process ordered')
  assert.equal(more.length, 0)
  for (const span of [first!, second!]) isChildOf(span, create)
  assert.deepEqual(first!.status, { code: SpanStatusCode.ERROR, message: 'no a' })
  assert.equal(first!.attributes['error.type'], 'TypeError')
  assert.equal(first!.events[0]!.name, 'exception')
  assert.equal(second!.status.code, SpanStatusCode.UNSET)
  assert.deepEqual(
    [first!, second!].map((span) => span.attributes['quadrille.attempt']),
    [1, 2],
  )
  const points = await otel.points()
  const [retries] = points.filter(({ name }) => name === 'quadrille.retries')
  assert.deepEqual([retries?.value, retries?.attributes['error.type']], [1, 'TypeError'])
})

test('whatever is thrown is an error of its span', async () => {
  const otel = sdk()
  const thrown: unknown[] = [undefined, 'a text', { code: 'E_CODE' }]
  const flaky = service('flaky').on(Ordered, { retry: { attempts: 1 } }, ({ n }) => {
    throw thrown[n]
  })
  const w = await world([flaky], { tracing: openTelemetry(otel.providers), errors: 'keep' })
  for (const n of thrown.keys()) {
    await w.publish(Ordered({ id: `k${n}`, n }))
    await w.settled()
  }
  await w.stop()
  const processed = (await otel.spans()).filter(({ name }) => name === 'process ordered')
  assert.deepEqual(
    processed.map(({ status, attributes }) => [status.code, status.message, attributes['error.type']]),
    [
      [SpanStatusCode.ERROR, '', 'thrown undefined'],
      [SpanStatusCode.ERROR, 'a text', 'thrown string'],
      [SpanStatusCode.ERROR, '', 'E_CODE'],
    ],
  )
})

test('a dead letter that is put back goes on in its trace', async () => {
  const otel = sdk()
  let works = false
  const flaky = service('flaky').on(Ordered, { retry: { attempts: 1 } }, () => {
    if (!works) throw new Error('not yet')
  })
  const w = await world([flaky], { tracing: openTelemetry(otel.providers), errors: 'keep' })
  await w.publish(Ordered({ id: 'a' }))
  await w.settled()
  works = true
  await w.app.deadLetters.redrive({})
  await w.settled()
  await w.stop()
  const spans = await otel.spans()
  const create = named(spans, 'create ordered')
  const processed = spans.filter(({ name }) => name === 'process ordered')
  assert.equal(processed.length, 2)
  for (const span of processed) isChildOf(span, create)
  const [dead] = (await otel.points()).filter(({ name }) => name === 'quadrille.dead_letters')
  assert.equal(dead?.value, 1)
})

test('a batch is a trace of its own, with a link to each event', async () => {
  const otel = sdk()
  const many = service('many').on(Ordered, { batch: { size: 10 } }, () => {})
  const w = await world([many], { tracing: openTelemetry(otel.providers) })
  await w.publish([Ordered({ id: 'a' }), Ordered({ id: 'b' }), Ordered({ id: 'c' })])
  await w.settled()
  await w.stop()
  const spans = await otel.spans()
  const created = spans.filter(({ name }) => name === 'create ordered')
  const processed = named(spans, 'process ordered')
  assert.equal(processed.parentSpanContext, undefined)
  assert.deepEqual(
    linksOf(processed),
    created.map((span) => span.spanContext().spanId),
  )
  assert.equal(processed.attributes['messaging.batch.message_count'], 3)
  assert.equal(processed.attributes['messaging.message.id'], undefined)
})

test('what a handler and a call do themselves are children of their spans; undoing is told', async () => {
  const otel = sdk()
  const work = async (name: string) => {
    await Promise.resolve()
    otel.tracer.startSpan(name).end()
  }
  const acting = service('acting').on(
    Ordered,
    {
      emits: [],
      call: () => work('POST /charges'),
      undo: { on: [Cancelled], emits: [], run: () => work('DELETE payments') },
    },
    () => work('INSERT payments'),
  )
  const w = await world([acting], { tracing: openTelemetry(otel.providers) })
  await w.publish(Ordered({ id: 'a' }))
  await w.settled()
  await w.publish(Cancelled({ id: 'a' }))
  await w.settled()
  await w.stop()
  const spans = await otel.spans()
  const call = named(spans, 'call acting/ordered')
  isChildOf(named(spans, 'POST /charges'), call)
  isChildOf(call, named(spans, 'create ordered'))
  assert.equal(call.kind, SpanKind.INTERNAL)
  isChildOf(named(spans, 'INSERT payments'), named(spans, 'process ordered'))
  const undo = named(spans, 'process cancelled')
  isChildOf(named(spans, 'DELETE payments'), undo)
  assert.equal(undo.attributes['quadrille.role'], 'undo')
})

test('over a wire the trace goes on in another ledger, and the sending is a span with links', async (t) => {
  const [here, there] = [sdk(), sdk()]
  const hub = memoryHub()
  const orders = service('orders')
  const far = await app(t, { services: [payments()], wires: [hub.wire()], tracing: openTelemetry(there.providers) })
  const near = await app(t, { services: [orders], wires: [hub.wire()], tracing: openTelemetry(here.providers) })
  const token = await near.transact(orders, () => [Ordered({ id: 'a' }), Ordered({ id: 'b' })])
  const endsAt = Date.now() + 10_000
  while ((await far.flow(token.correlationId)).events.length < 4 && Date.now() < endsAt) await quiet(near, far)
  await near.stop()
  const spans = await here.spans()
  const created = spans.filter(({ name }) => name === 'create ordered')
  const sent = spans.filter(({ name }) => name === 'send ordered')
  assert.deepEqual(sent.flatMap(linksOf).toSorted(), created.map((span) => span.spanContext().spanId).toSorted())
  assert.equal(sent[0]!.kind, SpanKind.CLIENT)
  const processed = (await there.spans()).filter(({ name }) => name === 'process ordered')
  assert.deepEqual(
    processed.map((span) => span.parentSpanContext?.spanId).toSorted(),
    created.map((span) => span.spanContext().spanId).toSorted(),
  )
  const values = Object.fromEntries((await here.points()).map(({ name, value }) => [name, value]))
  assert.equal(values['messaging.client.sent.messages'], 2)
  assert.equal(values['messaging.client.operation.duration'], sent.length)
  const [consumed] = (await there.points()).filter(({ name }) => name === 'messaging.client.consumed.messages')
  assert.deepEqual([consumed?.value, consumed?.attributes['messaging.consumer.group.name']], [2, 'payments'])
})

test('as links, each handling is a trace of its own that says where it comes from', async () => {
  const otel = sdk()
  const w = await world([payments(), shipping()], {
    tracing: openTelemetry({ ...otel.providers, handlings: 'link' }),
  })
  await w.publish(Ordered({ id: 'a' }))
  await w.settled()
  await w.stop()
  const spans = await otel.spans()
  const [create, pay, ship] = ['create ordered', 'process ordered', 'process paid'].map((name) => named(spans, name))
  assert.deepEqual([pay!.parentSpanContext, ship!.parentSpanContext], [undefined, undefined])
  assert.deepEqual([linksOf(pay!), linksOf(ship!)], [[create!.spanContext().spanId], [pay!.spanContext().spanId]])
})

test('what is not sampled goes on unsampled, and without an SDK events keep what they came with', async () => {
  const off = sdk(new AlwaysOffSampler())
  const unsampled = await world([payments()], { tracing: openTelemetry(off.providers) })
  await unsampled.publish(Ordered({ id: 'a' }))
  await unsampled.settled()
  await unsampled.stop()
  assert.deepEqual(await off.spans(), [])
  const [ordered, paid] = unsampled.events.map(({ traceparent }) => traceparent?.split('-') ?? [])
  assert.deepEqual([ordered![3], paid![3], paid![1]], ['00', '00', ordered![1]])

  const none = await world([payments()], { tracing: openTelemetry() })
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  const foreign = {
    specversion: '1.0',
    id: 'f',
    source: 'x',
    type: 'ordered',
    partitionkey: 'f',
    traceparent,
    data: { id: 'f' },
  }
  const received = await none.app.receive([new TextEncoder().encode(JSON.stringify(foreign))])
  await none.settled()
  await none.stop()
  assert.deepEqual(received, { appended: 1, duplicates: 0, dead: 0 })
  assert.deepEqual(
    none.events.map((event) => event.traceparent),
    [traceparent, traceparent],
  )
})

test('a trace context that others have written wrongly is none, and harms nothing', async () => {
  const otel = sdk()
  const w = await world([payments()], { tracing: openTelemetry(otel.providers) })
  const zeros = '0'.repeat(32)
  const wrong = [
    '',
    'x',
    '00-1-2-01',
    `00-${zeros}-00f067aa0ba902b7-01`,
    'ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  ]
  const bodies = wrong.map((traceparent, n) =>
    JSON.stringify({
      specversion: '1.0',
      id: `${n}`,
      source: 'x',
      type: 'ordered',
      partitionkey: `${n}`,
      traceparent,
      data: { id: `${n}` },
    }),
  )
  await w.app.receive(bodies.map((body) => new TextEncoder().encode(body)))
  await w.settled()
  await w.stop()
  const processed = (await otel.spans()).filter(({ name }) => name === 'process ordered')
  assert.equal(processed.length, w.events.filter(({ type }) => type === 'ordered').length)
  assert.ok(processed.length > 0)
  for (const span of processed) assert.deepEqual([span.parentSpanContext, span.links], [undefined, []])
})

test('metrics of handling have the names, units and labels of the conventions', async (t) => {
  const otel = sdk()
  const a = await app(t, { services: [payments()], ledger: sqlite(':memory:'), tracing: openTelemetry(otel.providers) })
  await a.publish(Ordered({ id: 'a' }))
  await a.quiet()
  const points = await otel.points()
  const process = points.find(({ name }) => name === 'messaging.process.duration')!
  assert.deepEqual([process.unit, process.value], ['s', 1])
  assert.ok(process.sum! < 5, 'seconds, not milliseconds')
  assert.deepEqual(process.attributes, {
    'messaging.system': 'quadrille',
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.name': 'ordered',
    'messaging.consumer.group.name': 'payments',
  })
  const age = points.find(({ name }) => name === 'quadrille.event.age')!
  assert.deepEqual(age.attributes, { 'quadrille.service': 'payments', 'quadrille.reaction': 'ordered' })
})

test('our names are those of the conventions', () => {
  const known = new Set<unknown>(Object.values(conventions))
  for (const name of [...Object.values(attributes), ...Object.values(metricNames)])
    assert.ok(known.has(name), `${name} is not in the conventions`)
  assert.ok(!known.has(system), 'a system that they do not know is named as they ask for')
})
