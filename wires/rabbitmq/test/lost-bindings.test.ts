/** A broker with its management API, which alone tells that somebody has deleted a binding. */
import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { freePort, realBroker, type Broker } from '@quadrille/brokers'
import { numbered, sendSurely, Taken, until } from '@quadrille/brokers/wire-load'
import { testWorld } from '@quadrille/brokers/wire-world'
import { rabbitPlace } from './rabbit-harness.ts'

const server = realBroker('rabbitmq')

describe('a broker with its management API', { skip: server.skip }, () => {
  let broker: Broker
  let port = 0
  before(async () => {
    port = await freePort()
    broker = await server.start({ settings: ['management.tcp.ip = 127.0.0.1', `management.tcp.port = ${port}`] })
  })
  after(() => broker?.stop())

  const world = async (test: TestContext, management: string) =>
    testWorld(test, await rabbitPlace(broker, { management }))

  const isBound = async (exchange: string, type: string): Promise<boolean> => {
    const address = `http://127.0.0.1:${port}/api/bindings/%2F/e/${exchange}/q/${exchange}.shop.orders`
    const answer = await fetch(address, { headers: { authorization: `Basic ${btoa('guest:guest')}` } })
    return ((await answer.json()) as { routing_key: string }[]).some(({ routing_key: key }) => key === type)
  }

  it('loses a binding while we are connected: it is told which, and that it is back', async (test) => {
    const w = await world(test, `http://127.0.0.1:${port}`)
    const [sender, reader] = [await w.open(), await w.open()]
    const taken = new Taken()
    const types = ['a', 'b'].map((type) => ({ type, patterns: null }))
    const receiver = await w.receive(reader, taken, { types })
    const { exchange } = w.place
    const told = () => w.notices.filter(({ service }) => service !== null)
    await until(async () => {
      const bound = await isBound(exchange, 'b')
      // Bound and untold: it was not deleted yet, or came back between the look and the making, and is deleted again.
      if (bound && told().length === 0)
        await w.place.admin((channel) => channel.unbindQueue(`${exchange}.shop.orders`, exchange, 'b'))
      return told().length >= 2
    }, 'it is told')
    assert.deepEqual(told(), [
      {
        kind: 'lost',
        service: 'shop.orders',
        why: 'the queue was not bound to b: what was sent meanwhile did not come',
      },
      { kind: 'restored', service: 'shop.orders', why: 'the queue is bound again' },
    ])
    await sendSurely(sender, [...numbered(5, 0, { type: 'b' }), ...numbered(5, 5)])
    await until(() => taken.distinct === 10, 'all that is sent from then on arrives')
    assert.deepEqual((await receiver.health()).problems, [])
    await w.place.admin((channel) => channel.deleteExchange(exchange))
    await until(
      () => told().some(({ why }) => why.includes(`the exchange ${exchange} is gone`)),
      'the exchange is told',
    )
  })

  it('loses a binding while nobody runs: the next start is refused, until that is accepted', async (test) => {
    const w = await world(test, `http://127.0.0.1:${port}`)
    const [sender, reader] = [await w.open(), await w.open()]
    const types = ['a', 'b', 'new'].map((type) => ({ type, patterns: null }))
    await (await w.receive(reader, new Taken(), { types: types.slice(0, 2) })).stop()
    const { exchange } = w.place
    await w.place.admin((channel) => channel.unbindQueue(`${exchange}.shop.orders`, exchange, 'b'))
    const known = ['a', 'b']
    for (let starts = 0; starts < 2; starts++)
      await assert.rejects(w.receive(reader, new Taken(), { types, known }), {
        code: 'WIRE_POSITION_LOST',
        message: /was not bound to b: what was sent meanwhile did not come/,
      })
    const taken = new Taken()
    await w.receive(reader, taken, { types, known, lost: 'accept' })
    assert.deepEqual(
      w.notices.filter(({ service }) => service !== null).map(({ kind }) => kind),
      ['lost', 'restored'],
    )
    await sendSurely(sender, [...numbered(5, 0, { type: 'b' }), ...numbered(5, 5, { type: 'new' })])
    await until(() => taken.distinct === 10, 'all of it arrives')
  })

  for (const [what, address] of [
    ['does not let us in', (at: number) => `http://guest:wrong@127.0.0.1:${at}`],
    ['is not there', () => 'http://127.0.0.1:1'],
  ] as const)
    it(`has an API that ${what}: health tells, and the binding is made again all the same`, async (test) => {
      const w = await world(test, address(port))
      const [sender, reader] = [await w.open(), await w.open()]
      const taken = new Taken()
      const receiver = await w.receive(reader, taken)
      const { exchange } = w.place
      await w.place.admin((channel) => channel.unbindQueue(`${exchange}.shop.orders`, exchange, 'a'))
      await sendSurely(sender, numbered(5))
      await until(() => taken.distinct === 5, 'the binding is back')
      const told = async () => (await receiver.health()).problems.join()
      await until(async () => /can not be asked/.test(await told()), 'health tells')
      assert.deepEqual(
        w.notices.filter(({ service }) => service !== null),
        [],
      )
    })
})
