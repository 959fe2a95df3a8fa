/** What only RabbitMQ can do to us, on a broker of our own. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { after, before, describe, it, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { freePort, realBroker, type Broker } from '@quadrille/brokers'
import { certificate } from '@quadrille/brokers/certificate'
import { numbered, sendSurely, Taken, until } from '@quadrille/brokers/wire-load'
import { assertCarries, killedUnderLoad, quietContext, testWorld } from '@quadrille/brokers/wire-world'
import { isQuadrilleError, silentLogger, systemEnv } from 'quadrille'
import type { IncomingMessage } from 'quadrille'
import { rabbitmq } from '../src/index.ts'
import { queuesSettle, rabbitPlace } from './rabbit-harness.ts'

const server = realBroker('rabbitmq')
const control = ['/usr/lib/rabbitmq/bin/rabbitmqctl', '/opt/homebrew/sbin/rabbitmqctl'].find(existsSync)

/** Runs the administrator's command of this broker. */
async function rabbitmqctl(broker: Broker, ...args: string[]): Promise<void> {
  const env = { ...process.env, HOME: broker.folder, RABBITMQ_NODENAME: `quadrille${broker.port}@localhost` }
  await promisify(execFile)(control!, args, { env })
}

describe('on a real broker', { skip: server.skip }, () => {
  let broker: Broker
  before(async () => (broker = await server.start()))
  after(() => broker.stop())

  const world = async (test: TestContext, options = {}) => testWorld(test, await rabbitPlace(broker, options))

  it('is killed again and again under load, and nothing is lost', async (test) => {
    const w = await world(test)
    await (await w.receive(await w.open(), new Taken())).stop()
    await queuesSettle()
    await killedUnderLoad(w, broker, 2)
  })

  it('takes an id for which AMQP has no room as a message id, and tells when nobody wants its event', async (test) => {
    const w = await world(test)
    const wire = await w.open()
    const event = { ...numbered(1)[0]!, id: 'é'.repeat(200) }
    const send = async () => (await wire.send([{ event, dedupeId: event.id }])).map((result) => result?.code ?? null)
    assert.deepEqual(await send(), ['WIRE_UNROUTABLE'])
    const taken = new Taken()
    await w.receive(wire, taken)
    assert.deepEqual(await send(), [null])
    await until(() => taken.distinct === 1, 'it arrives')
  })

  it('cuts the connection in the middle of a delivery: it comes again, in order, and is not acknowledged twice', async (test) => {
    const w = await world(test)
    const [sender, reader] = [await w.open(), await w.open()]
    const taken = new Taken()
    const gate = Promise.withResolvers<void>()
    let deliveries = 0
    const deliver = async (messages: readonly IncomingMessage[]) => {
      deliveries += 1
      if (deliveries === 1) await gate.promise
      return taken.deliver(messages)
    }
    const receiver = await w.receive(reader, { deliver })
    await sendSurely(sender, numbered(400))
    await until(() => deliveries === 1, 'a delivery is under way')
    w.place.proxyOf(reader).cut()
    await until(() => w.notices.some(({ kind, service }) => kind === 'lost' && service !== null), 'it is told')
    await sendSurely(sender, numbered(100, 400))
    gate.resolve()
    await until(() => taken.distinct === 500, 'all arrive')
    taken.assertInOrder()
    await until(async () => (await receiver.health()).lag === 0, 'all is acknowledged')
    assert.ok(taken.all.length > 500, 'the delivery that was cut has come again')
  })

  it(
    'is short of memory: events wait with the sender, and flow when the alarm is over',
    { skip: control === undefined && 'no rabbitmqctl' },
    async (test) => {
      const w = await world(test)
      const wire = await w.open()
      const taken = new Taken()
      await w.receive(wire, taken)
      await sendSurely(wire, numbered(20))
      await rabbitmqctl(broker, 'set_vm_memory_high_watermark', '0.000001')
      test.after(() => rabbitmqctl(broker, 'set_vm_memory_high_watermark', '0.4'))
      const blocked = numbered(20, 20)
      const results = await wire.send(blocked.map((event) => ({ event, dedupeId: event.id })))
      assert.ok(results.every((result) => result?.retryable))
      await assert.rejects(
        wire.send([]),
        (error) => isQuadrilleError(error, 'WIRE_UNREACHABLE') && /memory/.test(error.message),
      )
      assert.match((await wire.health()).problems.join(), /takes nothing at present/)
      await rabbitmqctl(broker, 'set_vm_memory_high_watermark', '0.4')
      await sendSurely(wire, blocked)
      await until(() => taken.distinct === 40, 'all arrive')
      taken.assertInOrder()
    },
  )

  it('holds no more than heldMax messages of a queue in our hands', async (test) => {
    const w = await world(test, { heldMax: 50 })
    const wire = await w.open()
    const gate = Promise.withResolvers<void>()
    const taken = new Taken()
    const deliver = (messages: readonly IncomingMessage[]) => gate.promise.then(() => taken.deliver(messages))
    const receiver = await w.receive(wire, { deliver })
    await sendSurely(wire, numbered(300))
    const ready = () =>
      w.place.admin(async (channel) => (await channel.checkQueue(`${w.place.exchange}.shop.orders`)).messageCount)
    await until(async () => (await ready()) === 250, 'the rest stays at the broker')
    assert.equal((await receiver.health()).lag, 300)
    gate.resolve()
    await until(() => taken.distinct === 300, 'all arrive')
  })

  it('has a queue with limits that somebody has made: it is left as it is, and what it refuses is sent again', async (test) => {
    const w = await world(test, { heldMax: 2 })
    const limits = { 'x-queue-type': 'quorum', 'x-max-length': 5, 'x-overflow': 'reject-publish' }
    await w.place.admin((channel) =>
      channel.assertQueue(`${w.place.exchange}.shop.orders`, { durable: true, arguments: limits }),
    )
    const wire = await w.open()
    const gate = Promise.withResolvers<void>()
    const taken = new Taken()
    const receiver = await w.receive(wire, {
      deliver: (messages) => gate.promise.then(() => taken.deliver(messages)),
    })
    const told = (await receiver.health()).problems.join()
    assert.match(told, /made without x-single-active-consumer/, 'health tells what it lacks')
    const events = numbered(60)
    const results = await wire.send(events.map((event) => ({ event, dedupeId: event.id })))
    assert.ok(
      results.some((result) => result?.code === 'WIRE_SEND_FAILED'),
      'some are refused',
    )
    gate.resolve()
    await sendSurely(wire, events)
    await until(() => taken.distinct === 60, 'all arrive')
    taken.assertInOrder()
  })

  it('still has bindings of an earlier version of the service: what they bring is acknowledged, not delivered', async (test) => {
    const w = await world(test)
    const wire = await w.open()
    const types = ['a', 'b'].map((type) => ({ type, patterns: null }))
    await (await w.receive(wire, new Taken(), { types })).stop()
    const taken = new Taken()
    const receiver = await w.receive(wire, taken)
    await sendSurely(wire, [...numbered(10, 0, { type: 'b' }), ...numbered(10, 10)])
    await until(() => taken.distinct === 10, 'the wanted ones arrive')
    await until(async () => (await receiver.health()).lag === 0, 'nothing is left')
    assert.deepEqual((await receiver.health()).problems, [])
    assert.equal(Math.min(...taken.all), 10)
  })

  it('loses its bindings, or the exchange with them, while we are connected: all is bound again by itself', async (test) => {
    const w = await world(test)
    const [sender, reader] = [await w.open(), await w.open()]
    const taken = new Taken()
    const receiver = await w.receive(reader, taken)
    const { exchange } = w.place
    const [first, second] = [numbered(10), numbered(10, 10)]
    await w.place.admin((channel) => channel.unbindQueue(`${exchange}.shop.orders`, exchange, first[0]!.type))
    await sendSurely(sender, first)
    await until(() => taken.distinct === 10, 'the binding is back')
    await w.place.admin((channel) => channel.deleteExchange(exchange))
    await sendSurely(sender, second)
    await until(() => taken.distinct === 20, 'the exchange and the binding are back')
    const told = () => w.notices.filter(({ service }) => service !== null).map(({ kind }) => kind)
    const before = told().length
    await w.place.admin(async (channel) => {
      await channel.deleteExchange(exchange)
      await channel.assertExchange(exchange, 'direct', { durable: true })
    })
    await until(async () => /can not be bound/.test((await receiver.health()).problems.join()), 'health tells')
    await w.place.admin((channel) => channel.deleteExchange(exchange))
    await until(async () => (await receiver.health()).problems.length === 0, 'all is well again')
    assert.deepEqual(told().slice(before), ['lost', 'restored'])
  })

  it('keeps what somebody takes out of a queue by force, and health tells', async (test) => {
    const w = await world(test)
    const wire = await w.open()
    await (await w.receive(wire, new Taken())).stop()
    await sendSurely(wire, numbered(1))
    const told = async () => (await wire.health()).problems.some((problem) => /^1 messages in .*\.dead/.test(problem))
    await w.place.admin(async (channel) => {
      await channel.consume(`${w.place.exchange}.shop.orders`, (message) => channel.nack(message!, false, false))
      await until(told, 'the dead-letter queue has it')
    })
  })

  it('has an exchange of this name that is not ours: nothing is changed, and it is an error', async (test) => {
    const w = await world(test)
    await w.place.admin((channel) => channel.assertExchange(w.place.exchange, 'direct', { durable: true }))
    await assert.rejects(w.open(), { code: 'WIRE_INCOMPATIBLE' })
  })

  it('does not let us in with a wrong password', async () => {
    const wire = rabbitmq({ url: `amqp://guest:wrong@127.0.0.1:${broker.port}` })
    const notice = () => undefined
    await assert.rejects(wire.open({ env: systemEnv, log: silentLogger, sends: [], notice }), {
      code: 'WIRE_UNREACHABLE',
    })
  })
})

describe('a broker with TLS', { skip: server.skip }, () => {
  it('is believed when its certificate is trusted, and not otherwise', async (test) => {
    const tls = await certificate()
    test.after(() => tls.remove())
    const port = await freePort()
    const files = ['cacertfile', 'certfile'].map((name) => `ssl_options.${name} = ${tls.certFile}`)
    const key = `ssl_options.keyfile = ${tls.keyFile}`
    const settings = [`listeners.ssl.default = 127.0.0.1:${port}`, ...files, key, 'ssl_options.verify = verify_none']
    const broker = await server.start({ settings })
    test.after(() => broker.stop())
    const url = `amqps://guest:guest@127.0.0.1:${port}`
    const wire = rabbitmq({ url, socket: { ca: tls.cert } })
    test.after(() => wire.close())
    await wire.open(quietContext)
    await assertCarries(wire)
    await assert.rejects(rabbitmq({ url }).open(quietContext), { code: 'WIRE_UNREACHABLE' })
  })
})
