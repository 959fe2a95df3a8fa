/** What only Redis can do to us, on a server of our own. */
import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { realBroker, type Broker } from '@quadrille/brokers'
import { numbered, sendSurely, Taken, until } from '@quadrille/brokers/wire-load'
import { silentLogger, sleep, systemEnv } from 'quadrille'
import type { IncomingMessage, Receiver, Subscription, Wire, WireNotice } from 'quadrille'
import { redis } from '../src/index.ts'
import { acknowledgeScript, renewScript, trimScript } from '../src/redis-scripts.ts'
import { redisPlace } from './redis-harness.ts'

const server = realBroker('redis')
const service = 'shop.orders'

describe('on a real server', { skip: server.skip }, () => {
  let broker: Broker
  before(async () => (broker = await server.start()))
  after(() => broker.stop())

  async function world(test: TestContext, options = {}) {
    const place = await redisPlace(broker, options)
    const notices: WireNotice[] = []
    const wires: Wire[] = []
    const open = async (more = {}): Promise<Wire> => {
      const wire = place.connect(more)
      wires.push(wire)
      const notice = (one: WireNotice) => notices.push(one)
      await wire.open({ env: systemEnv, log: silentLogger, sends: ['a', 'b'], notice })
      return wire
    }
    const receive = (
      wire: Wire,
      taken: Pick<Taken, 'deliver'>,
      more: Partial<Subscription> = {},
    ): Promise<Receiver> => {
      const types = [{ type: 'a', patterns: null }]
      const instance = systemEnv.uuid()
      return wire.receive({ service, types, from: 'beginning', instance, ...more }, taken.deliver)
    }
    test.after(async () => {
      for (const wire of wires) await wire.close()
      await place.remove()
    })
    return { place, notices, open, receive }
  }

  it('is killed again and again under load, and nothing is lost', async (test) => {
    const w = await world(test)
    const [sender, reader] = [await w.open(), await w.open()]
    const taken = new Taken()
    await w.receive(reader, taken)
    const total = 4_000
    const sending = (async () => {
      for (let n = 0; n < total; n += 50) await sendSurely(sender, numbered(50, n))
    })()
    for (let kills = 0; kills < 4; kills++) {
      await until(() => taken.distinct > (kills + 1) * 300, 'events flow')
      await broker.kill()
      await broker.restart()
    }
    await sending
    await until(() => taken.distinct === total, 'all arrive')
    taken.assertInOrder()
  })

  it('keeps what a dead receiver held for the next one, and the order of each key holds', async (test) => {
    const never = Promise.withResolvers<void>()
    test.after(() => never.resolve())
    const w = await world(test)
    const [sender, dying, next] = [await w.open(), await w.open(), await w.open()]
    const taken = new Taken()
    // It acknowledges two deliveries, and dies with the third in hand and more behind it.
    let deliveries = 0
    const deliver = async (messages: readonly IncomingMessage[]) => {
      deliveries += 1
      return deliveries > 2 ? never.promise : taken.deliver(messages)
    }
    await w.receive(dying, { deliver })
    for (let n = 0; n < 400; n += 50) await sendSurely(sender, numbered(50, n))
    await until(() => deliveries > 2, 'it holds some')
    await w.place.proxyOf(dying).close()
    // These could be read at once; those that the dead one held, when its leases end.
    await sendSurely(sender, numbered(200, 400))
    await w.receive(next, taken)
    await until(() => taken.distinct === 600, 'all arrive')
    taken.assertInOrder()
  })

  it('is told that we are alive while a delivery takes longer than a lease: nothing goes to somebody else', async (test) => {
    const w = await world(test, { lease: '1s' })
    const [first, second] = [await w.open(), await w.open()]
    const taken = new Taken()
    let slow = true
    const deliver = async (messages: readonly IncomingMessage[]) => {
      if (slow) await sleep(systemEnv, 3_500)
      slow = false
      return taken.deliver(messages)
    }
    await w.receive(first, { deliver })
    await sendSurely(first, numbered(300))
    const receiver = await w.receive(second, taken)
    await until(() => taken.distinct === 300, 'all arrive')
    await until(() => !slow, 'the slow delivery has ended')
    await until(async () => (await receiver.health()).lag === 0, 'all is acknowledged')
    assert.equal(taken.all.length, 300, 'none came twice')
  })

  it('was not reached for longer than a lease: what another one has taken over is not acknowledged by the first', async (test) => {
    const w = await world(test, { lease: '1s', timeout: '20s' })
    const [zombie, living] = [await w.open(), await w.open()]
    const [early, late] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const [first, second] = [new Taken(), new Taken()]
    test.after(() => late.resolve())
    await w.receive(zombie, { deliver: (messages) => early.promise.then(() => first.deliver(messages)) })
    await sendSurely(living, numbered(20))
    const pending = () => w.place.admin(async (client) => Number((await client.xpending(w.place.stream, service))[0]))
    await until(async () => (await pending()) === 20, 'the first one has them')
    w.place.proxyOf(zombie).freeze()
    let has = 0
    const deliver = async (messages: readonly IncomingMessage[]) => {
      has += messages.length
      await late.promise
      return second.deliver(messages)
    }
    await w.receive(living, { deliver })
    await until(() => has === 20, 'another one has taken over')
    early.resolve()
    await until(() => first.distinct === 20, 'the first one is done, too late')
    w.place.proxyOf(zombie).thaw()
    await sleep(systemEnv, 1_500)
    assert.equal(await pending(), 20, 'all are still the second one’s')
    late.resolve()
    await until(async () => (await pending()) === 0, 'who acknowledges them')
  })

  it('lets only the owner acknowledge and renew', async (test) => {
    const w = await world(test)
    const { stream, positions } = w.place
    await w.place.admin(async (client) => {
      await client.xgroup('CREATE', stream, 'g', '0', 'MKSTREAM')
      const id = (await client.xadd(stream, '*', 'a', 'b'))!
      await client.xreadgroup('GROUP', 'g', 'owner', 'STREAMS', stream, '>')
      const run = (script: string, consumer: string) => client.eval(script, 2, stream, positions, 'g', consumer, id)
      assert.deepEqual(await run(renewScript, 'stranger'), [])
      assert.equal(await run(acknowledgeScript, 'stranger'), 0)
      assert.equal(((await client.xpending(stream, 'g')) as unknown[])[0], 1)
      assert.deepEqual(await run(renewScript, 'owner'), [id])
      assert.equal(await run(acknowledgeScript, 'owner'), 1)
      assert.equal(await run(acknowledgeScript, 'owner'), 0)
    })
  })

  it('trims nothing that a group has still to read or to acknowledge, nor what is too young', async (test) => {
    const w = await world(test)
    const { stream, positions } = w.place
    await w.place.admin(async (client) => {
      const ids: string[] = []
      for (let n = 1; n <= 10; n++) ids.push((await client.xadd(stream, `${n}-0`, 'n', n))!)
      const trim = (keepMs: number) => client.eval(trimScript, 2, stream, positions, 'fast', keepMs)
      assert.equal(await trim(0), 0, 'without groups nothing is dropped')
      await client.xgroup('CREATE', stream, 'fast', '0')
      await client.xgroup('CREATE', stream, 'slow', '0')
      await client.xreadgroup('GROUP', 'fast', 'c', 'STREAMS', stream, '>')
      await client.xack(stream, 'fast', ...ids)
      await client.xreadgroup('GROUP', 'slow', 'c', 'COUNT', 6, 'STREAMS', stream, '>')
      await client.xack(stream, 'slow', '1-0', '2-0', '4-0', '5-0', '6-0')
      assert.equal(await trim(0), 2, 'the slow one has not acknowledged the third')
      await client.xack(stream, 'slow', '3-0')
      assert.equal(await trim(2 ** 45), 0, 'all are younger than that')
      assert.equal(await trim(0), 3, 'the sixth was read last')
      assert.equal(await client.xlen(stream), 5)
    })
  })

  it('is emptied while we are connected: that is told, the group is made again, and events flow', async (test) => {
    const w = await world(test)
    const wire = await w.open()
    const taken = new Taken()
    await w.receive(wire, taken)
    await sendSurely(wire, numbered(10))
    await until(() => taken.distinct === 10, 'before')
    await w.place.admin((client) => client.flushall())
    await until(() => w.notices.some(({ kind, why }) => kind === 'lost' && /removed/.test(why)), 'it is told')
    await until(() => w.notices.at(-1)?.kind === 'restored', 'it is back')
    await sendSurely(wire, numbered(10, 10))
    await until(() => taken.distinct === 20, 'events flow again')
  })

  it('has lost the group while nobody ran: it goes on where it was', async (test) => {
    const w = await world(test)
    const wire = await w.open()
    const taken = new Taken()
    const receiver = await w.receive(wire, taken, { from: 'now' })
    await sendSurely(wire, numbered(10))
    await until(() => taken.distinct === 10, 'before')
    await receiver.stop()
    await sendSurely(wire, numbered(10, 10))
    await w.place.admin((client) => client.xgroup('DESTROY', w.place.stream, service))
    await w.receive(wire, taken, { from: 'now' })
    await until(() => taken.distinct === 20, 'what was sent meanwhile arrives')
    assert.equal(taken.all.length, 20, 'and what was done does not come again')
  })

  it('has lost the stream while nobody ran: that is an error', async (test) => {
    const w = await world(test)
    const wire = await w.open()
    const taken = new Taken()
    const receiver = await w.receive(wire, taken)
    await sendSurely(wire, numbered(10))
    await until(() => taken.distinct === 10, 'before')
    await receiver.stop()
    await w.place.admin((client) => client.del(w.place.stream))
    await assert.rejects(w.receive(wire, taken), { code: 'WIRE_POSITION_LOST' })
    await w.receive(wire, taken, { lost: 'accept' })
    await sendSurely(wire, numbered(10, 10))
    await until(() => taken.distinct === 20, 'once accepted it goes on')
  })

  it('gives a service of several types these alone, in one order, and acknowledges the others', async (test) => {
    const w = await world(test)
    const wire = await w.open()
    const taken = new Taken()
    const receiver = await w.receive(wire, taken, { types: ['a', 'b'].map((type) => ({ type, patterns: null })) })
    await sendSurely(
      wire,
      numbered(300).map((one, n) => ({ ...one, key: 'k', type: ['a', 'b', 'c'][n % 3]! })),
    )
    await until(() => taken.distinct === 200, 'the wanted ones arrive')
    taken.assertInOrder()
    await until(async () => (await receiver.health()).lag === 0, 'nothing is left')
  })

  it('has a key of this name that is no stream: it is an error', async (test) => {
    const w = await world(test)
    await w.place.admin((client) => client.set(w.place.stream, 'x'))
    const wire = await w.open()
    await assert.rejects(w.receive(wire, new Taken()), { code: 'WIRE_INCOMPATIBLE' })
  })
})

describe('a server that keeps less than it could', { skip: server.skip }, () => {
  it('is a problem that health names', async () => {
    const broker = await server.start({
      settings: ['--appendonly', 'no', '--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru'],
    })
    const wire = redis({ url: broker.url })
    await wire.open({ env: systemEnv, log: silentLogger, sends: [], notice: () => undefined })
    const { problems } = await wire.health()
    assert.match(problems.join('\n'), /no append-only file[^]*allkeys-lru/)
    await wire.close()
    await broker.stop()
  })

  it('wants a password: the one in the address is used, and a wrong one is an error', async () => {
    const broker = await server.start({ settings: ['--requirepass', 'p@ss'] })
    const context = { env: systemEnv, log: silentLogger, sends: [], notice: () => undefined }
    const wire = redis({ url: `redis://:p%40ss@127.0.0.1:${broker.port}` })
    await wire.open(context)
    assert.deepEqual((await wire.health()).problems, [])
    await wire.close()
    await assert.rejects(redis({ url: `redis://:no@127.0.0.1:${broker.port}` }).open(context), {
      code: 'WIRE_UNREACHABLE',
    })
    await broker.stop()
  })
})
