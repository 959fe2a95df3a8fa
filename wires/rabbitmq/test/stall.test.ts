/** A RabbitMQ server that stalls: TCP is frozen, and nothing is answered. */
import { test } from 'node:test'
import { realBroker } from '@quadrille/brokers'
import { closesWhileFrozen, stallsAndThaws } from '@quadrille/brokers/wire-stall'
import { rabbitmq } from '../src/index.ts'
import { rabbitPlace } from './rabbit-harness.ts'

const server = realBroker('rabbitmq')
const limit = { timeout: 240_000, skip: server.skip }

test('a frozen server holds up nothing but what is sent to it, and gets all of it when it thaws', limit, async (t) => {
  const broker = await server.start()
  const place = await rabbitPlace(broker)
  t.after(async () => {
    await place.remove()
    await broker.stop()
  })
  const [sender, receiver] = [place.connect(), place.connect()]
  await stallsAndThaws({ sender, receiver, proxy: place.proxyOf(sender) })
})

test('a wire that is closed while the server is frozen leaves no connection open', limit, async (t) => {
  const broker = await server.start()
  t.after(() => broker.stop())
  await closesWhileFrozen(broker, () => rabbitmq({ url: broker.url }))
})
