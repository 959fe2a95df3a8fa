/** Many who wait for a handling cost the ledger little more than one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { service, type Ledger } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import { manualEnv } from 'quadrille/testing'
import { LookRounds } from '../../src/runtime/look-rounds.ts'
import { Answered, Asked, fileWorld, gate, ledgerFile } from './setup.ts'

test('while a hundred wait for a slow service, what others do makes no hundred looks', async (t) => {
  let calls = 0
  const ledger = new Proxy<Ledger>(sqlite(ledgerFile(t), { synchronous: 'NORMAL' }), {
    get(target, name) {
      const value = Reflect.get(target, name) as unknown
      if (typeof value !== 'function') return value
      if (name === 'positions' || name === 'query') calls += 1
      return (value as (...args: unknown[]) => unknown).bind(target)
    },
  })
  const goOn = gate()
  const oracle = service('oracle').on(Asked, { call: () => goOn.promise }, () => {})
  const other = service('other').on(Answered, () => {})
  await using w = await fileWorld(':memory:', [oracle, other], { ledger })
  const tokens = await Promise.all(Array.from({ length: 100 }, (_, n) => w.publish(Asked({ id: `k${n}` }))))
  const seen = tokens.map((token) => w.app.seen(token, oracle))
  calls = 0
  for (let n = 0; n < 100; n++) await w.publish(Answered({ id: `other${n}` }))
  // Each of a hundred commits is followed by some rounds, of two questions each.
  assert.ok(calls < 10_000, `the ledger was asked ${calls} times`)
  goOn.open()
  await Promise.all(seen)
})

test('who waits is told the truth also where more is parked than is read at once', async (t) => {
  const goOn = gate()
  let held = 0
  const oracle = service('oracle').on(
    Asked,
    { call: ({ n }) => (n === 0 ? goOn.promise : Promise.resolve()), concurrency: 1_000 },
    ({ n }) => void (n === 0 && (held += 1)),
  )
  await using w = await fileWorld(ledgerFile(t), [oracle])
  const slow = await Promise.all(Array.from({ length: 600 }, (_, n) => w.publish(Asked({ id: `slow${n}` }))))
  let told = 0
  const seen = slow.slice(-20).map((token) => w.app.seen(token, oracle).then(() => (told += 1)))
  await Promise.all(
    Array.from({ length: 20 }, async (_, n) => w.app.seen(await w.publish(Asked({ id: `quick${n}`, n: 1 })), oracle)),
  )
  assert.deepEqual([told, held], [0, 0])
  goOn.open()
  await Promise.all(seen)
  assert.equal(told, 20)
})

test('of what is parked in a lane the earliest counts, whatever the ids are', async (t) => {
  const goOn = gate()
  let handled = 0
  const oracle = service('oracle').on(Asked, { call: () => goOn.promise }, () => void (handled += 1))
  await using w = await fileWorld(ledgerFile(t), [oracle])
  const first = await w.publish(Asked({ id: 'k', n: 1 }, { id: 'z' }))
  await w.publish(Asked({ id: 'k', n: 2 }, { id: 'a' }))
  let told = 0
  const seen = Array.from({ length: 10 }, () => w.app.seen(first, oracle).then(() => (told += 1)))
  for (let n = 0; n < 5; n++) await w.publish(Answered({ id: `other${n}` }))
  await turns()
  assert.deepEqual([told, handled], [0, 0])
  goOn.open()
  await Promise.all(seen)
})

test('after a round that took long there is a pause as long', async () => {
  const env = manualEnv()
  const began: number[] = []
  const [first, second] = [gate(), gate()]
  const rounds = new LookRounds(env, async () => {
    began.push(env.elapsed())
    await (began.length === 1 ? first.promise : second.promise)
  })
  const startMs = env.elapsed()
  const told = Promise.withResolvers<true>()
  const waits = rounds.wait({ waitedFor: 'a test', timeoutMs: 60_000 }, told, async () => undefined)
  await turns()
  rounds.look()
  await env.advance(100)
  first.open()
  await turns()
  await env.advance(99)
  assert.deepEqual(began, [startMs])
  await env.advance(1)
  assert.deepEqual(began, [startMs, startMs + 200])
  second.open()
  told.resolve(true)
  assert.equal(await waits, true)
})

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
}
