/** What only Redis can do to us, on a server of our own. */
import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { freePort, realBroker, type Broker } from '@quadrille/brokers'
import { certificate } from '@quadrille/brokers/certificate'
import { numbered, sendSurely, Taken, until } from '@quadrille/brokers/wire-load'
import { assertCarries, diesHoldingSome, killedUnderLoad, quietContext, testWorld } from '@quadrille/brokers/wire-world'
import { silentLogger, sleep, systemEnv } from 'quadrille'
import type { IncomingMessage } from 'quadrille'
import { redis } from '../src/index.ts'
import { acknowledgeScript, renewScript, trimScript } from '../src/redis-scripts.ts'
import { redisPlace } from './redis-harness.ts'

const server = realBroker('redis')
const service = 'shop.orders'

describe('on a real server', { skip: server.skip }, () => {
  let broker: Broker
  before(async () => (broker = await server.start()))
  after(() => broker.stop())

  const world = async (test: TestContext, options = {}) => testWorld(test, await redisPlace(broker, options))

  it('is killed again and again under load, and nothing is lost', async (test) =>
    killedUnderLoad(await world(test), broker, 4))

  it('keeps what a dead receiver held for the next one, and the order of each key holds', async (test) => {
    const w = await world(test)
    await diesHoldingSome(w, (wire) => w.place.proxyOf(wire).close())
  })

  it('is killed after much was read: nothing counts as behind, nor as lost when the stream is trimmed', async (test) => {
    const w = await world(test)
    const wire = await w.open()
    const taken = new Taken()
    const receiver = await w.receive(wire, taken)
    const isDone = async () => (await receiver.health()).lag === 0
    await sendSurely(wire, numbered(50))
    await until(() => taken.distinct === 50, 'all arrive')
    await until(isDone, 'all is acknowledged')
    await broker.kill()
    await broker.restart()
    await sendSurely(wire, numbered(10, 50))
    await until(() => taken.distinct === 60, 'the others arrive')
    await until(isDone, 'nothing counts as behind')
    await receiver.stop()
    await sendSurely(wire, numbered(5, 60))
    await w.place.admin((client) => client.xtrim(w.place.stream, 'MAXLEN', 5))
    const again = await w.receive(wire, taken)
    await until(() => taken.distinct === 65, 'what was not read comes')
    await again.stop()
    await sendSurely(wire, numbered(5, 65))
    await w.place.admin((client) => client.xtrim(w.place.stream, 'MAXLEN', 3))
    await assert.rejects(w.receive(wire, taken), {
      code: 'WIRE_POSITION_LOST',
      message: /2 entries/,
    })
  })

  it('has read all, and too little was counted: that is no loss, and it is counted anew', async (test) => {
    const w = await world(test)
    const { stream, positions } = w.place
    const wire = await w.open()
    const taken = new Taken()
    const receiver = await w.receive(wire, taken)
    await sendSurely(wire, numbered(10))
    await until(async () => taken.distinct === 10 && (await receiver.health()).lag === 0, 'all is done')
    await receiver.stop()
    const [at] = (await w.place.admin((client) => client.hget(positions, service)))!.split(' ')
    await w.place.admin((client) => client.hset(positions, service, `${at} 2`))
    await w.place.admin((client) => client.xtrim(stream, 'MAXLEN', 0))
    await w.receive(wire, taken)
    assert.equal(await w.place.admin((client) => client.hget(positions, service)), `${at} 10`)
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

  it('is left while somebody else still holds something: what was taken over is given back, and not delivered', async (test) => {
    const w = await world(test)
    const { stream } = w.place
    const wire = await w.open()
    // The group is there, and has two consumers that are none of ours: one died a minute ago, one is alive.
    await (await w.receive(wire, new Taken())).stop()
    await sendSurely(wire, numbered(2))
    const left = await w.place.admin(async (client) => {
      const ids: string[] = []
      for (const consumer of ['dead', 'alive']) {
        const reply = await client.xreadgroup('GROUP', service, consumer, 'COUNT', 1, 'STREAMS', stream, '>')
        ids.push((reply as [string, [string, string[]][]][])[0]![1][0]![0])
      }
      await client.xclaim(stream, service, 'dead', 0, ids[0]!, 'IDLE', 60_000, 'JUSTID')
      return ids
    })
    const taken = new Taken()
    const receiver = await w.receive(wire, taken)
    const owner = async (id: string) => {
      const rows = await w.place.admin((client) => client.xpending(stream, service, id, id, 1))
      return (rows as [string, string][])[0]![1]
    }
    await until(async () => (await owner(left[0]!)) !== 'dead', 'the first one is taken over')
    assert.equal(await owner(left[1]!), 'alive', 'the second one is not')
    await receiver.stop()
    assert.equal(taken.all.length, 0)
    await w.place.admin((client) => client.xclaim(stream, service, 'alive', 0, left[1]!, 'IDLE', 60_000, 'JUSTID'))
    await w.receive(wire, taken)
    await until(() => taken.distinct === 2, 'the next one gets both')
    taken.assertInOrder()
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

  it('has lost the stream while nobody ran, and others have sent since: that is an error too', async (test) => {
    const w = await world(test)
    const wire = await w.open()
    const taken = new Taken()
    const receiver = await w.receive(wire, taken)
    await sendSurely(wire, numbered(10))
    await until(() => taken.distinct === 10, 'before')
    await until(async () => (await receiver.health()).lag === 0, 'all is acknowledged')
    await receiver.stop()
    await w.place.admin((client) => client.del(w.place.stream))
    await sendSurely(wire, numbered(5, 10))
    await assert.rejects(w.receive(wire, taken), { code: 'WIRE_POSITION_LOST', message: /stream was removed/ })
    await w.receive(wire, taken, { lost: 'accept' })
    await until(() => taken.distinct === 15, 'accepted, the oldest comes')
  })

  it('has lost everything while nobody ran: that is an error as often as it is asked, and accepted, the oldest comes', async (test) => {
    const w = await world(test)
    const { stream, positions } = w.place
    const wire = await w.open()
    const taken = new Taken()
    const known = ['a']
    await (await w.receive(wire, taken)).stop()
    await sendSurely(wire, numbered(5))
    await w.place.admin((client) => client.del(stream, positions))
    for (let time = 0; time < 2; time++)
      await assert.rejects(w.receive(wire, taken, { known }), { code: 'WIRE_POSITION_LOST' })
    assert.equal(await w.place.admin((client) => client.exists(stream, positions)), 0, 'a refusal leaves nothing')
    await sendSurely(wire, numbered(5, 5))
    await assert.rejects(w.receive(wire, taken, { known }), { code: 'WIRE_POSITION_LOST' })
    await w.receive(wire, taken, { known, lost: 'accept', from: 'now' })
    await until(() => taken.distinct === 5, 'what was sent since the loss arrives')
    assert.ok(
      w.notices.some(({ kind, why }) => kind === 'lost' && why?.includes(positions)),
      'the loss is told',
    )
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

  it('runs out of memory: each batch is in the stream as a whole, or nothing of it is', async (test) => {
    const w = await world(test)
    const wire = await w.open()
    const limit = (bytes: number) => w.place.admin((client) => client.config('SET', 'maxmemory', bytes))
    const used = await w.place.admin(async (client) =>
      Number(/used_memory:(\d+)/.exec(await client.info('memory'))![1]),
    )
    const events = numbered(20, 4, { data: JSON.stringify('x'.repeat(5_000)) })
    const send = () => wire.send(events.map((event) => ({ event, dedupeId: event.id })))
    test.after(() => limit(0))
    await limit(used + 400_000)
    let whole = 0
    let results = await send()
    for (; results.every((result) => result === null); results = await send()) whole += 1
    assert.deepEqual(
      results.map((result) => result?.code),
      events.map(() => 'WIRE_SEND_FAILED'),
    )
    assert.match(results[0]!.message, /OOM/)
    assert.ok(whole > 0)
    const length = () => w.place.admin((client) => client.xlen(w.place.stream))
    assert.equal(await length(), whole * events.length)
    await limit(0)
    assert.deepEqual(
      await send(),
      events.map(() => null),
    )
    assert.equal(await length(), (whole + 1) * events.length)
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
    const wire = redis({ url: `redis://:p%40ss@127.0.0.1:${broker.port}` })
    await wire.open(quietContext)
    assert.deepEqual((await wire.health()).problems, [])
    await wire.close()
    await assert.rejects(redis({ url: `redis://:no@127.0.0.1:${broker.port}` }).open(quietContext), {
      code: 'WIRE_UNREACHABLE',
    })
    await broker.stop()
  })
})

describe('a server that does not let us in', { skip: server.skip }, () => {
  it('wants a password: the one in the address is used, and a wrong one is an error', async (test) => {
    const broker = await server.start({ settings: ['--requirepass', 'p@ss'] })
    test.after(() => broker.stop())
    const wire = redis({ url: `redis://:p%40ss@127.0.0.1:${broker.port}` })
    test.after(() => wire.close())
    await wire.open(quietContext)
    await assertCarries(wire)
    await assert.rejects(redis({ url: `redis://:no@127.0.0.1:${broker.port}` }).open(quietContext), {
      code: 'WIRE_UNREACHABLE',
    })
  })

  it('speaks TLS: it is believed when its certificate is trusted, and not otherwise', async (test) => {
    const tls = await certificate()
    test.after(() => tls.remove())
    const plain = await freePort()
    const port = await freePort()
    const files = ['--tls-cert-file', tls.certFile, '--tls-key-file', tls.keyFile, '--tls-ca-cert-file', tls.certFile]
    const settings = ['--tls-port', String(port), '--tls-auth-clients', 'no', ...files]
    const broker = await server.start({ port: plain, settings })
    test.after(() => broker.stop())
    const url = `rediss://127.0.0.1:${port}`
    const wire = redis({ url, connection: { tls: { ca: tls.cert } } })
    test.after(() => wire.close())
    await wire.open(quietContext)
    await assertCarries(wire)
    await assert.rejects(redis({ url }).open(quietContext), { code: 'WIRE_UNREACHABLE' })
  })
})
