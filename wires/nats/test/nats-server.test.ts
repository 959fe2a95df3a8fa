/** What only NATS can do to us, on a server of our own. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { headers } from '@nats-io/transport-node'
import { realBroker, type Broker } from '@quadrille/brokers'
import { certificate } from '@quadrille/brokers/certificate'
import { numbered, sendSurely, Taken, until } from '@quadrille/brokers/wire-load'
import { assertCarries, diesHoldingSome, killedUnderLoad, quietContext, testWorld } from '@quadrille/brokers/wire-world'
import { event, service, silentLogger, sleep, start, systemEnv } from 'quadrille'
import type { IncomingMessage } from 'quadrille'
import { runWireCase, wireCases } from 'quadrille/conformance'
import * as z from 'zod'
import { nats } from '../src/index.ts'
import { subjectOf } from '../src/nats-message.ts'
import { settleMs } from '../src/nats-topology.ts'
import { natsHarness, natsPlace } from './nats-harness.ts'

const server = realBroker('nats')
describe('on a real server', { skip: server.skip }, () => {
  let broker: Broker
  before(async () => (broker = await server.start()))
  after(() => broker.stop())

  const world = async (test: TestContext, options = {}) => testWorld(test, await natsPlace(broker, options))

  it('is killed again and again under load, and nothing is lost', async (test) =>
    killedUnderLoad(await world(test), broker, 3))

  it('hands out again what a dead receiver held, and the order of each key holds', async (test) => {
    const w = await world(test)
    await diesHoldingSome(w, (wire) => w.place.proxyOf(wire).close())
  })

  it('is told that we are alive while a delivery takes longer than a lease: nothing goes to somebody else', async (test) => {
    const w = await world(test, { ackWait: '1s' })
    const [first, second] = [await w.open(), await w.open()]
    const taken = new Taken()
    let slow = true
    const deliver = async (messages: readonly IncomingMessage[]) => {
      if (slow) await sleep(systemEnv, 3_500)
      slow = false
      return taken.deliver(messages)
    }
    await w.receive(first, Object.assign(new Taken(), { deliver }))
    await sendSurely(first, numbered(300))
    const receiver = await w.receive(second, taken)
    await until(() => taken.distinct === 300, 'all arrive')
    await until(() => !slow, 'the slow delivery has ended')
    await until(async () => (await receiver.health()).lag === 0, 'all is acknowledged')
    assert.equal(taken.all.length, 300, 'none came twice')
  })

  it('is frozen while more is sent than sockets hold: it is connected to anew all the same', async (test) => {
    const w = await world(test)
    const wire = await w.open()
    const proxy = w.place.proxyOf(wire)
    proxy.freeze()
    const data = JSON.stringify({ text: 'x'.repeat(100_000) })
    const results = await wire.send(
      numbered(200, 0, { data }).map((event) => ({ event: { ...event, key: event.id }, dedupeId: event.id })),
    )
    assert.ok(
      results.every((result) => result?.retryable),
      'nothing counts as sent',
    )
    await until(() => w.notices.some(({ kind }) => kind === 'lost'), 'it is noticed')
    await until(() => proxy.connections > 1, 'it connects again')
    proxy.thaw()
    await sendSurely(wire, numbered(10))
  })

  it('loses the whole stream: it is made again, the loss is told, and events flow', async (test) => {
    const w = await world(test)
    const wire = await w.open()
    const taken = new Taken()
    await w.receive(wire, taken)
    await sendSurely(wire, numbered(10))
    await until(() => taken.distinct === 10, 'before')
    await w.place.admin(({ manager }) => manager.streams.delete(w.place.stream))
    const told = () => w.notices.some(({ kind, service }) => kind === 'lost' && service === 'shop.orders')
    await until(told, 'the receiver tells')
    await until(() => w.notices.some(({ kind, service }) => kind === 'restored' && service !== null), 'it is back')
    await sendSurely(wire, numbered(10, 10))
    await until(() => taken.distinct === 20, 'events flow again')
  })

  it('has lost a stream a moment ago: it is not made again before the server has removed its files', async (test) => {
    const w = await world(test)
    const wire = await w.open()
    const taken = new Taken()
    await w.receive(wire, taken)
    await w.place.admin(async ({ manager }) => {
      const { stream } = w.place
      const deletedAt = systemEnv.now()
      await manager.streams.delete(stream)
      await sendSurely(wire, numbered(10))
      const { created } = await manager.streams.info(stream)
      assert.ok(Date.parse(created) - deletedAt > settleMs * 0.9, `it was made again on ${created}`)
    })
    await until(() => taken.distinct === 10, 'events flow again')
  })

  it('forgets a consumer while nobody runs: it goes on where it was', async (test) => {
    const w = await world(test)
    const wire = await w.open()
    const taken = new Taken()
    const receiver = await w.receive(wire, taken, { from: 'now' })
    await sendSurely(wire, numbered(10))
    await until(() => taken.distinct === 10, 'before')
    await receiver.stop()
    await sendSurely(wire, numbered(10, 10))
    await w.place.admin(({ manager }) => manager.consumers.delete(w.place.stream, 'shop~orders'))
    await w.receive(wire, taken, { from: 'now' })
    await until(() => taken.distinct === 20, 'what was sent meanwhile arrives')
    assert.equal(taken.all.length, 20, 'and what was done does not come again')
  })

  it('has made the stream anew while nobody ran: that is an error as often as it is asked', async (test) => {
    const w = await world(test)
    const wire = await w.open()
    await (await w.receive(wire, new Taken())).stop()
    await w.place.admin(({ manager }) => manager.streams.delete(w.place.stream))
    const again = await w.open()
    for (let time = 0; time < 2; time++)
      await assert.rejects(w.receive(again, new Taken()), { code: 'WIRE_POSITION_LOST' })
    const taken = new Taken()
    await w.receive(again, taken, { lost: 'accept' })
    await sendSurely(again, numbered(3))
    await until(() => taken.distinct === 3, 'once accepted it goes on')
  })

  it('has lost everything while nobody ran: that is an error as often as it is asked, and accepted, the oldest comes', async (test) => {
    const w = await world(test)
    const wire = await w.open()
    await (await w.receive(wire, new Taken())).stop()
    await sendSurely(wire, numbered(5))
    await w.place.removeStreams()
    await sleep(systemEnv, settleMs)
    const again = await w.open()
    const taken = new Taken()
    const known = ['a']
    await sendSurely(again, numbered(5, 5))
    for (let time = 0; time < 2; time++)
      await assert.rejects(w.receive(again, taken, { known }), { code: 'WIRE_POSITION_LOST' })
    const consumers = await w.place.admin(({ manager }) => manager.consumers.list(w.place.stream).next())
    assert.equal(consumers.length, 0, 'a refusal makes nothing')
    await w.receive(again, taken, { known, lost: 'accept', from: 'now' })
    await until(() => taken.distinct === 5, 'what was sent since the loss arrives')
    assert.ok(
      w.notices.some(({ kind, why }) => kind === 'lost' && why?.includes(w.place.stream)),
      'the loss is told',
    )
  })

  it('gives a service of several types these alone, in one order, and acknowledges the others', async (test) => {
    const w = await world(test)
    const wire = await w.open()
    const taken = new Taken()
    const types = ['a', 'b'].map((type) => ({ type, patterns: null }))
    const receiver = await w.receive(wire, taken, { types })
    const all = numbered(300).map((one, n) => ({ ...one, key: 'k', type: ['a', 'b', 'c'][n % 3]! }))
    await sendSurely(wire, all)
    await until(() => taken.distinct === 200, 'the wanted ones arrive')
    taken.assertInOrder()
    await w.place.admin(async ({ manager }) => {
      let left = 1
      for (let tries = 0; left > 0 && tries < 500; tries++) {
        await sleep(systemEnv, 10)
        left = (await manager.consumers.info(w.place.stream, 'shop~orders')).num_ack_pending
      }
      assert.equal(left, 0, 'nothing is left unacknowledged')
    })
    assert.equal((await receiver.health()).lag, 0)
  })

  it('takes a new type into a subscription that exists, without going back', async (test) => {
    const w = await world(test)
    const wire = await w.open()
    const taken = new Taken()
    const receiver = await w.receive(wire, taken)
    await sendSurely(wire, numbered(5))
    await until(() => taken.distinct === 5, 'before')
    await receiver.stop()
    const types = ['a', 'b'].map((type) => ({ type, patterns: null }))
    await w.receive(wire, taken, { types })
    await sendSurely(wire, numbered(5, 5, { type: 'b' }))
    await until(() => taken.distinct === 10, 'the new type arrives')
    assert.equal(taken.all.length, 10)
  })

  it('is full: events are refused for the time being, and those in it stay', async (test) => {
    const w = await world(test, { bytesMax: 200_000 })
    const wire = await w.open()
    const data = JSON.stringify({ n: 0, text: 'x'.repeat(50_000) })
    const results = await wire.send(
      numbered(10, 0, { data, key: 'k' }).map((one) => ({ event: one, dedupeId: one.id })),
    )
    const first = results.findIndex((result) => result !== null)
    assert.ok(first > 0, 'some fit')
    assert.deepEqual(
      results.slice(first).map((result) => [result?.code, result?.retryable]),
      results.slice(first).map((_, n) => [n === 0 ? 'WIRE_SEND_FAILED' : 'WIRE_SEND_HELD', true]),
    )
  })

  it('has a stream of this name that is not ours: nothing is changed, and it is an error', async (test) => {
    const w = await world(test)
    const { stream } = w.place
    await w.place.admin(({ manager }) => manager.streams.add({ name: stream, subjects: [`foreign.${stream}`] }))
    await assert.rejects(w.open(), { code: 'WIRE_INCOMPATIBLE' })
    const { config } = await w.place.admin(({ manager }) => manager.streams.info(stream))
    assert.deepEqual(config.subjects, [`foreign.${stream}`])
  })

  it('keeps the limits of a stream that somebody has made', async (test) => {
    const w = await world(test)
    const { stream, prefix } = w.place
    const subjects = [`${prefix}.>`]
    const limits = { duplicate_window: 7e9, max_msg_size: 20_000 }
    await w.place.admin(({ manager }) => manager.streams.add({ name: stream, subjects, ...limits }))
    const wire = await w.open()
    assert.equal(wire.capabilities.dedupeMs, 7_000)
    assert.equal(wire.capabilities.messageBytesMax, 20_000)
  })

  it('hands on structured events and foreign bytes as they are', async (test) => {
    const w = await world(test)
    const wire = await w.open()
    const got: IncomingMessage[] = []
    const deliver = async (messages: readonly IncomingMessage[]) => void got.push(...messages)
    await w.receive(wire, Object.assign(new Taken(), { deliver }))
    await w.place.admin(async ({ manager }) => {
      const structured = headers()
      structured.set('Content-Type', 'application/cloudevents+json')
      const subject = subjectOf(w.place.prefix, 'a')
      await manager.jetstream().publish(subject, '{"specversion":"1.0"}', { headers: structured })
    })
    await until(() => got.length === 1, 'it arrives')
    assert.equal(got[0]!.attributes, null)
    assert.equal(new TextDecoder().decode(got[0]!.body), '{"specversion":"1.0"}')
  })
})

describe('a server that takes less than the usual 1 MiB', { skip: server.skip }, () => {
  const max = 65_536
  let broker: Broker
  let folder: string
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'quadrille-nats-'))
    const file = join(folder, 'nats.conf')
    writeFileSync(file, `max_payload: ${max}\n`)
    broker = await server.start({ settings: ['-c', file] })
  })
  after(async () => {
    await broker?.stop()
    rmSync(folder, { recursive: true })
  })

  it('is sent what it takes, up to the last byte, and no more', async () => {
    const harness = natsHarness(() => broker)
    const largest = wireCases.find(({ name }) => name.startsWith('the largest event that is taken arrives'))!
    await runWireCase(largest, { ...harness, capabilities: { ...harness.capabilities, messageBytesMax: max } })
  })

  it('has an app refuse what is too large where it is published', async (test) => {
    const Asked = event('asked', { key: 'id', schema: z.object({ id: z.string(), note: z.string() }) })
    const asker = service('asker')
    const app = await start({ services: [asker], wires: [nats({ servers: broker.url })], log: silentLogger })
    test.after(() => app.stop())
    await assert.rejects(app.publish(Asked({ id: '1', note: 'x'.repeat(max) })), { code: 'EVENT_TOO_LARGE' })
    await app.publish(Asked({ id: '1', note: 'x'.repeat(max / 2) }))
  })
})

describe('a server that does not let us in', { skip: server.skip }, () => {
  it('wants a password: the one in the address is used, and a wrong one is an error', async () => {
    const broker = await server.start({ settings: ['--user', 'me', '--pass', 'p@ss'] })
    const wire = nats({ servers: `nats://me:p%40ss@127.0.0.1:${broker.port}` })
    await wire.open(quietContext)
    assert.deepEqual((await wire.health()).problems, [])
    await wire.close()
    const wrong = nats({ servers: `nats://me:no@127.0.0.1:${broker.port}` })
    await assert.rejects(wrong.open(quietContext), { code: 'WIRE_UNREACHABLE' })
    await broker.stop()
  })

  it('speaks TLS: it is believed when its certificate is trusted, and not otherwise', async (test) => {
    const tls = await certificate()
    test.after(() => tls.remove())
    const broker = await server.start({ settings: ['--tls', '--tlscert', tls.certFile, '--tlskey', tls.keyFile] })
    test.after(() => broker.stop())
    const servers = `tls://127.0.0.1:${broker.port}`
    const wire = nats({ servers, connection: { tls: { ca: tls.cert } } })
    test.after(() => wire.close())
    await wire.open(quietContext)
    await assertCarries(wire)
    await assert.rejects(nats({ servers }).open(quietContext), { code: 'WIRE_UNREACHABLE' })
  })
})
