/** An administration that takes connections and never answers holds nobody up for longer than `timeout`. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { tcpProxy } from '@quadrille/brokers'
import { connectionStringFor, startServiceBus } from '@quadrille/brokers/service-bus'
import { isQuadrilleError, silentLogger, systemEnv, type WireContext } from 'quadrille'
import { administrationOf } from '../src/azure-topology.ts'
import { checkedOptions } from '../src/azure-options.ts'
import { wireTo } from './azure-setup.ts'

const context: WireContext = { env: systemEnv, log: silentLogger, sends: [], notice() {} }
const subscription = { service: 's', types: [{ type: 'a', patterns: null }], from: 'now', instance: 'i' } as const
const limits = { timeout: 30_000 }

/** A wire whose administration, and nothing else, goes through a proxy. */
async function place(t: TestContext, receiveBy: 'polling' | 'functions' = 'polling') {
  const server = await startServiceBus()
  t.after(() => server.kill())
  const proxy = await tcpProxy(server.port)
  t.after(() => proxy.close())
  const administration = administrationOf(checkedOptions({ connectionString: connectionStringFor(proxy.port) }))
  const wire = wireTo(server, { administration, timeout: '500ms', receiveBy })
  t.after(() => wire.close())
  return { proxy, wire }
}

const unreachable = (error: unknown) =>
  isQuadrilleError(error, 'WIRE_UNREACHABLE') && error.message.includes('its administration has not answered')

test('opening and receiving reject', limits, async (t) => {
  const { proxy, wire } = await place(t)
  proxy.freeze()
  await assert.rejects(wire.open(context), unreachable)
  proxy.thaw()
  await wire.open(context)
  proxy.freeze()
  await assert.rejects(
    wire.receive(subscription, async () => {}),
    unreachable,
  )
})

for (const receiveBy of ['polling', 'functions'] as const)
  test(`health of a receiver by ${receiveBy} does not know how many wait`, limits, async (t) => {
    const { proxy, wire } = await place(t, receiveBy)
    await wire.open(context)
    const receiver = await wire.receive(subscription, async () => {})
    assert.equal((await receiver.health()).lag, 0)
    proxy.freeze()
    assert.deepEqual(await receiver.health(), { lag: null, problems: [] })
  })
