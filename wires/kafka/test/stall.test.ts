/** A Kafka that stalls: TCP is frozen, and nothing is answered. */
import { test } from 'node:test'
import { realBroker } from '@quadrille/brokers'
import { closesWhileFrozen, stallsAndThaws } from '@quadrille/brokers/wire-stall'
import { kafka } from '../src/index.ts'
import { lanedBroker, quick } from './kafka-harness.ts'

const limit = { timeout: 240_000, skip: realBroker('kafka').skip }

test('a frozen server holds up nothing but what is sent to it, and gets all of it when it thaws', limit, async (t) => {
  const laned = await lanedBroker()
  t.after(() => laned.stop())
  const { broker, proxies } = laned
  const proxy = proxies[0]!
  const sender = kafka({ brokers: [`127.0.0.1:${proxy.port}`], ...quick })
  const receiver = kafka({ brokers: [broker.url], ...quick })
  await stallsAndThaws({ sender, receiver, proxy })
})

test('a wire that is closed while the server is frozen leaves no connection open', limit, async (t) => {
  const broker = await realBroker('kafka').start()
  t.after(() => broker.stop())
  await closesWhileFrozen(broker, () => kafka({ brokers: [broker.url], requestMs: 2_000 }))
})
