/** A delivery may last longer than the lock of its session: the lock is renewed meanwhile. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { numbered, until } from '@quadrille/brokers/wire-load'
import { startServiceBus } from '@quadrille/brokers/service-bus'
import { fromBinaryEvent, silentLogger, sleep, systemEnv, type WireNotice } from 'quadrille'
import { wireTo } from './azure-setup.ts'

const lockMs = 5_000
const limits = { timeout: 60_000 }

test('a session whose delivery outlasts its lock is not lost, and nothing comes twice', limits, async (t) => {
  const server = await startServiceBus()
  t.after(() => server.kill())
  const wire = wireTo(server, { topic: 'slow', lock: lockMs })
  t.after(() => wire.close())
  const notices: WireNotice[] = []
  const warnings: string[] = []
  const log = { ...silentLogger, warn: (_: object, message: string) => void warnings.push(message) }
  await wire.open({ env: systemEnv, log, sends: [], notice: (notice) => void notices.push(notice) })
  const begun: string[] = []
  const ended: string[] = []
  const types = [{ type: 'a', patterns: null }]
  await wire.receive({ service: 's', types, from: 'now', instance: 'i' }, async (messages) => {
    const ids = messages.map(({ attributes, body }) => fromBinaryEvent(attributes!, body).id)
    const isFirst = begun.length === 0
    begun.push(...ids)
    if (isFirst) await sleep(systemEnv, lockMs * 1.5)
    ended.push(...ids)
  })
  const subscription = server.topics.get('slow')!.subscriptions.get('s')!
  assert.equal(subscription.settings.lockMs, lockMs)
  const events = numbered(10, 0, { key: 'k' })
  await wire.send(events.slice(0, 5).map((event) => ({ event, dedupeId: event.id })))
  await until(() => begun.length > 0, 'the slow delivery is under way')
  await wire.send(events.slice(5).map((event) => ({ event, dedupeId: event.id })))
  await until(() => ended.length >= events.length && subscription.active === 0, 'everything is completed')
  const ids = events.map(({ id }) => id)
  assert.deepEqual({ begun, ended, warnings, notices }, { begun: ids, ended: ids, warnings: [], notices: [] })
})
