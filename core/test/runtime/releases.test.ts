/** Two versions of a service run at the same time, as during a release: what only the new one reacts to is not lost. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { service, silentLogger, start, systemEnv, type AnyService, type App } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import { registeredIn } from '../../src/runtime/declared.ts'
import { sayRunning } from '../../src/runtime/registration.ts'
import { until } from '../crash/crew.ts'
import { Answered, Asked, Cancelled, fileWorld, ledgerFile } from './setup.ts'

const eventCount = 200
const numbers = Array.from({ length: eventCount }, (_, n) => n)

/** An app on the file, as a process of its own would be; ended with the test. */
async function startOn(t: TestContext, services: readonly AnyService[], file: string): Promise<App> {
  const ledger = sqlite(file, { synchronous: 'NORMAL' })
  const app = await start({ services, ledger, log: silentLogger, poll: '50ms', lease: '400ms' })
  t.after(() => app.stop())
  return app
}

const held = async (app: App): Promise<number> =>
  (await app.health()).readers.find(({ reader }) => reader === 'mail')!.partitionsHeld

/** Runs the old version, then both, and publishes while each has its half of the partitions. */
async function release(t: TestContext, versions: { readonly old: AnyService; readonly young: AnyService }) {
  const file = ledgerFile(t)
  const old = await startOn(t, [versions.old], file)
  await old.publish(Asked({ id: 'before' }))
  await old.quiet()
  const young = await startOn(t, [versions.young], file)
  await until('both to have a share', async () => (await held(old)) === 8 && (await held(young)) === 8)
  return { old, young, file }
}

test('a reaction to an event type that is new gets every event, also in partitions of the old version', async (t) => {
  const handled: number[] = []
  const mail = () => service('mail').on(Asked, { name: 'ask' }, () => {})
  const { old, young } = await release(t, {
    old: mail(),
    young: mail().on(Answered, { name: 'answer' }, ({ n }) => void handled.push(n)),
  })
  await young.publish(numbers.map((n) => Answered({ id: `k${n}`, n })))
  await until('all to be handled', () => handled.length >= eventCount)
  await old.stop()
  await young.quiet()
  assert.deepEqual(handled.toSorted((a, b) => a - b), numbers) // prettier-ignore
})

test("a reaction from: 'now' to an event type that is known gets every event, and the old reaction each once", async (t) => {
  const asked: string[] = []
  const handled: number[] = []
  const mail = () => service('mail').on(Asked, { name: 'ask' }, ({ id }) => void asked.push(id))
  const { old, young } = await release(t, {
    old: mail(),
    young: mail().on(Asked, { name: 'count', from: 'now' }, ({ n }) => void handled.push(n)),
  })
  await old.publish(numbers.map((n) => Asked({ id: `k${n}`, n })))
  await until('all to be handled', () => handled.length >= eventCount && asked.length > eventCount)
  await old.stop()
  await young.quiet()
  assert.deepEqual(handled.toSorted((a, b) => a - b), numbers) // prettier-ignore
  assert.equal(asked.length, 1 + eventCount)
})

test('what came while a release was taken back is handled when it comes again', async (t) => {
  const file = ledgerFile(t)
  const handled: number[] = []
  const old = () => service('mail').on(Asked, { name: 'ask' }, () => {})
  const young = () => old().on(Answered, { name: 'answer' }, ({ n }) => void handled.push(n))
  for (const [n, version] of [old, young, old, young].entries()) {
    await using w = await fileWorld(file, [version()])
    await w.publish([Asked({ id: 'k', n }), Answered({ id: 'k', n })].slice(0, n === 0 ? 1 : 2))
    await w.settled()
  }
  assert.deepEqual(handled, [1, 2, 3])
})

test('a service elsewhere has seen an event when its added reactions have, too', async (t) => {
  const handling = Promise.withResolvers<void>()
  const mail = () => service('mail').on(Asked, { name: 'ask' }, () => {})
  const { young, file } = await release(t, {
    old: mail(),
    young: mail().on(Asked, { name: 'slowly', from: 'now', call: () => handling.promise }, () => {}),
  })
  const other = await startOn(t, [service('other').on(Cancelled, () => {})], file)
  const token = await other.publish(Asked({ id: 'k' }))
  let hasSeen = false
  const seen = other.seen(token, 'mail').then(() => (hasSeen = true))
  await until('it to be called', async () => (await young.flow(token.correlationId)).deliveries.length === 2)
  await assert.rejects(other.seen(token, 'mail', { timeout: '300ms' }), { code: 'TIMED_OUT' })
  assert.equal(hasSeen, false)
  handling.resolve()
  await seen
})

test('a reaction that its service no longer has keeps nothing, a day after it was last running', async (t) => {
  const retention = { events: '2h', memory: '10d', every: '30m' } as const
  const file = ledgerFile(t)
  const old = () => service('mail').on(Asked, { name: 'ask' }, () => {})
  for (const version of [old(), old().on(Answered, { name: 'answer' }, () => {})]) {
    await using w = await fileWorld(file, [version])
    await w.publish(Asked({ id: 'k' }))
    await w.settled()
  }
  await using w = await fileWorld(file, [old()], { retention })
  const { correlationId } = await w.publish([Asked({ id: 'k' }), Answered({ id: 'k' })])
  const kept = async () => (await w.app.flow(correlationId)).events.length
  await w.advance('20h')
  assert.equal(await kept(), 2)
  await w.advance('8h')
  assert.equal(await kept(), 0)
})

test('during a release a process says that it runs what the other version does not have', async (t) => {
  const file = ledgerFile(t)
  const old = service('mail').on(Asked, { name: 'ask' }, () => {})
  const young = service('mail')
    .on(Asked, { name: 'ask' }, () => {})
    .on(Answered, { name: 'answer' }, () => {})
  const ledger = sqlite(file, { synchronous: 'NORMAL' })
  await startOn(t, [old], file)
  await startOn(t, [young], file)
  // One of the old ones is started again.
  await startOn(t, [old], file)
  await ledger.open(systemEnv)
  t.after(() => ledger.close())
  const answer = async () => (await registeredIn(ledger, 'mail')).get('answer')
  const before = await answer()
  assert.ok(before?.until !== undefined && Math.abs(systemEnv.now() - before.seenMs!) < 60_000)
  const later = systemEnv.now() + 1_000_000_000
  await sayRunning([old], ledger, later)
  assert.deepEqual(await answer(), before)
  await sayRunning([young], ledger, later)
  assert.deepEqual(await answer(), { ...before, seenMs: later })
})
