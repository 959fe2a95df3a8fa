/** What an app that has nothing to do asks of the server. Time is the test's own: it is counted, not measured. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { event, service, silentLogger, sleep, start, systemEnv } from 'quadrille'
import { postgres } from '@quadrille/postgres'
import { manualEnv, type ManualEnv } from 'quadrille/testing'
import * as z from 'zod'
import { onServer, randomName, serverMissing, serverUrl } from './database.ts'
import { startProxy, type Proxy } from './proxy.ts'

const skip = await serverMissing()

const schema = z.object({ id: z.string() })
const contract = (type: string) => event(type, { key: 'id', schema })
const Ordered = contract('ordered')
const Paid = contract('paid')
const Reserved = contract('reserved')
const Completed = contract('completed')
const Cancelled = contract('cancelled')

/** Four services with reactions of all kinds, as in the order application. */
const services = () => [
  service('orders')
    .all([Paid, Reserved], { name: 'complete', emits: [Completed] }, ([{ id }]) => Completed({ id }))
    .deadline(Ordered, { unless: [Completed, Cancelled], within: '1h', emits: [Cancelled] }, ({ id }) =>
      Cancelled({ id }),
    ),
  service('payments').on(
    Ordered,
    { emits: [Paid], call: async () => 'paid', undo: { on: [Cancelled], run: () => {} } },
    ({ id }) => Paid({ id }),
  ),
  service('inventory').on(Ordered, { emits: [Reserved], undo: { on: [Cancelled], run: () => {} } }, ({ id }) =>
    Reserved({ id }),
  ),
  service('mails').on(Completed, { batch: { size: 10, within: '1s' } }, () => {}),
]

const stepMs = 250

/** Lets time pass, and the server answer in between. */
async function pass(env: ManualEnv, proxy: Proxy, durationMs: number): Promise<void> {
  for (let passedMs = 0; passedMs < durationMs; passedMs += stepMs) {
    await env.advance(stepMs)
    do await sleep(systemEnv, 0)
    while (proxy.unanswered > 0)
  }
}

test('an app of four services that has nothing to do asks the server less than once a second', { skip }, async () => {
  const proxy = await startProxy(serverUrl)
  const schemaName = randomName()
  const env = manualEnv({ seed: 1 })
  const app = await startApp(proxy, env, schemaName)
  try {
    await app.publish(Ordered({ id: 'a' }))
    await pass(env, proxy, 300_000)
    const flow = await app.ledger.find({ key: 'a', limit: 10 })
    assert.deepEqual(flow.map(({ type }) => type).sort(), ['completed', 'ordered', 'paid', 'reserved'])
    const before = proxy.statements
    const seconds = 600
    await pass(env, proxy, seconds * 1000)
    const asked = proxy.statements - before
    assert.ok(asked < seconds, `${asked} statements in ${seconds} s`)
    // Leases of two seconds are renewed all the time.
    assert.ok(asked > seconds / 2, `only ${asked} statements in ${seconds} s`)
  } finally {
    const stopped = app.stop()
    await pass(env, proxy, 2_000)
    await stopped
    await proxy.close()
    await onServer((client) => client.query(`DROP SCHEMA IF EXISTS "${schemaName}" CASCADE`))
  }
})

async function startApp(proxy: Proxy, env: ManualEnv, schemaName: string) {
  const ledger = postgres(proxy.url, { schema: schemaName, listen: serverUrl })
  const starting = start({ services: services(), ledger, env, log: silentLogger })
  let isUp = false
  void starting.then(
    () => (isUp = true),
    () => (isUp = true),
  )
  while (!isUp) await pass(env, proxy, stepMs)
  return starting
}
