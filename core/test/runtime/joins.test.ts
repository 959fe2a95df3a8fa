/** A join fires once when all its parts have come, in whatever order, through duplicates, failures and restarts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { event, service, type Emitted } from 'quadrille'
import { db, effect, effects, effectTable, fileWorld, ledgerFile, lenientWorld, effectWorld } from './setup.ts'

const part = z.object({ id: z.string(), n: z.number().default(0) })
const A = event('part.a', { key: 'id', schema: part })
const B = event('part.b', { key: 'id', schema: part })
const C = event('part.c', { key: 'id', schema: part })
const Joined = event('joined', { key: 'id', schema: z.object({ id: z.string(), of: z.string() }) })
const Late = event('late', { key: 'id', schema: z.object({ id: z.string(), of: z.string() }) })

const sum = (parts: readonly ({ n: number } | undefined)[]) => parts.map((each) => each?.n ?? '-').join()

function joiner(onJoin: (attempt: number) => void = () => {}, onLate: (attempt: number) => void = () => {}) {
  return service('joiner', { db }).all(
    [A, B, C],
    {
      name: 'join',
      emits: [Joined, Late],
      within: '10m',
      retry: { attempts: 5, base: '30s', max: '30s' },
      late: (parts, { db: handle, event: { key }, attempt }) => {
        effect(handle, `late ${key}`)
        onLate(attempt)
        return Late({ id: key, of: sum(parts) })
      },
    },
    (parts, { db: handle, attempt }) => {
      effect(handle, `joined ${parts[0].id}`)
      onJoin(attempt)
      return Joined({ id: parts[0].id, of: sum(parts) })
    },
  )
}

const orders = ['abc', 'acb', 'bac', 'bca', 'cab', 'cba']
const made: Record<string, (id: string) => Emitted> = {
  a: (id) => A({ id, n: 1 }),
  b: (id) => B({ id, n: 2 }),
  c: (id) => C({ id, n: 3 }),
}
const partsIn = (order: string, id = order) => [...order].map((name) => made[name]!(id))

for (const together of [true, false]) {
  test(`a join fires once in every order of arrival, its parts coming ${together ? 'together' : 'one by one'}`, async () => {
    const service1 = joiner()
    await using w = await effectWorld([service1])
    for (const order of orders) {
      for (const each of together ? [partsIn(order)] : partsIn(order)) {
        await w.publish(each)
        await w.settled()
      }
    }
    await w.advance('1h')
    assert.deepEqual(
      w.saw(Joined).map(({ id, of }) => [id, of]),
      orders.map((order) => [order, '1,2,3']),
    )
    assert.deepEqual(await effects(w.app, service1), Object.fromEntries(orders.map((order) => [`joined ${order}`, 1])))
    w.neverSaw(Late)
  })
}

test('a part that comes twice counts once, the first one, and one that comes after the join is passed over', async () => {
  const skipped: string[] = []
  const service1 = joiner()
  await using w = await effectWorld([service1], { hooks: { skipped: ({ why }) => void skipped.push(why) } })
  await w.publish([A({ id: 'k', n: 1 }), A({ id: 'k', n: 7 }), B({ id: 'k', n: 2 }), C({ id: 'k', n: 3 })])
  await w.publish([...partsIn('abc', 'k'), ...partsIn('cba', 'k')])
  await w.advance('1h')
  assert.deepEqual(w.saw(Joined), [{ id: 'k', of: '1,2,3' }])
  assert.equal(skipped.length, 7)
  w.neverSaw(Late)
})

test('parts of different keys never meet', async () => {
  const service1 = joiner()
  await using w = await effectWorld([service1])
  await w.publish([A({ id: 'x' }), B({ id: 'y' }), C({ id: 'z' })])
  await w.settled()
  w.neverSaw(Joined)
})

test('the parts that have come survive restarts, and so does their time', async (t) => {
  const path = ledgerFile(t)
  const startMs = Date.UTC(2026, 0, 1)
  for (const name of ['b', 'a', 'c']) {
    const service1 = joiner()
    await using w = await fileWorld(path, [service1])
    await effectTable(w.app, service1)
    await w.env.advance(startMs + 1_000 - w.env.now())
    await w.publish(made[name]!('k'))
    if (name === 'b') await w.publish(A({ id: 'never', n: 4 }))
    await w.settled()
    if (name !== 'c') w.neverSaw(Joined)
    else {
      assert.deepEqual(w.saw(Joined), [{ id: 'k', of: '1,2,3' }])
      await w.advance('10m')
      assert.deepEqual(w.saw(Late), [{ id: 'never', of: '4,-,-' }])
      assert.deepEqual(await effects(w.app, service1), { 'joined k': 1, 'late never': 1 })
    }
  }
  const service1 = joiner()
  await using w = await fileWorld(path, [service1])
  await w.advance('1h')
  await w.publish(partsIn('abc', 'k'))
  await w.settled()
  w.neverSaw(Joined)
  w.neverSaw(Late)
})

test('a join that is not complete in time hands over what has come, once, and is over', async () => {
  const service1 = joiner()
  await using w = await effectWorld([service1])
  await w.publish([A({ id: 'k', n: 1 }), C({ id: 'k', n: 3 })])
  await w.advance('9m')
  w.neverSaw(Late)
  await w.advance('1m')
  assert.deepEqual(w.saw(Late), [{ id: 'k', of: '1,-,3' }])
  await w.publish(B({ id: 'k', n: 2 }))
  await w.advance('1h')
  w.neverSaw(Joined)
  assert.deepEqual(await effects(w.app, service1), { 'late k': 1 })
})

test('when the handler of the part that completes it fails, it is retried, and the join fires once', async () => {
  const service1 = joiner((attempt) => {
    if (attempt < 3) throw new Error('down')
  })
  await using w = await effectWorld([service1])
  await w.publish(partsIn('abc', 'k'))
  await w.settled()
  assert.deepEqual(await effects(w.app, service1), {})
  await w.publish(partsIn('abc', 'k'))
  await w.advance('5m')
  assert.deepEqual(w.saw(Joined), [{ id: 'k', of: '1,2,3' }])
  await w.advance('1h')
  assert.deepEqual(await effects(w.app, service1), { 'joined k': 1 })
})

test('a join that was complete in time is not late because its handler is being retried', async () => {
  let broken = true
  const service1 = joiner(() => {
    if (broken) throw new Error('down')
  })
  await using w = await effectWorld([service1])
  await w.publish([A({ id: 'k', n: 1 }), B({ id: 'k', n: 2 })])
  await w.advance(10 * 60_000 - 1)
  await w.publish(C({ id: 'k', n: 3 }))
  await w.settled()
  await w.advance(1)
  w.neverSaw(Late)
  broken = false
  await w.advance('5m')
  assert.deepEqual(w.saw(Joined), [{ id: 'k', of: '1,2,3' }])
  await w.advance('1h')
  assert.deepEqual(await effects(w.app, service1), { 'joined k': 1 })
})

test('a failing late handler is retried, also across a restart, and runs once', async (t) => {
  const path = ledgerFile(t)
  const failing = () =>
    joiner(undefined, (attempt) => {
      if (attempt < 3) throw new Error('down')
    })
  {
    const service1 = failing()
    await using w = await fileWorld(path, [service1])
    await effectTable(w.app, service1)
    await w.publish([A({ id: 'k', n: 1 }), B({ id: 'k', n: 2 })])
    await w.advance('10m')
    w.neverSaw(Late)
  }
  const service1 = failing()
  await using w = await fileWorld(path, [service1], { startMs: Date.UTC(2026, 0, 1) + 600_000 })
  await w.publish(C({ id: 'k', n: 3 }))
  await w.advance('5m')
  assert.deepEqual(w.saw(Late), [{ id: 'k', of: '1,2,-' }])
  assert.deepEqual(await effects(w.app, service1), { 'late k': 1 })
  w.neverSaw(Joined)
})

test('one event that is two parts of a join fills both', async () => {
  let broken = true
  const joined: string[] = []
  const twice = service('twice').all(
    [A.where({ n: 1 }), A.where({ id: 'k' })],
    { name: 'join', retry: { attempts: 3 } },
    (parts) => {
      if (broken) throw new Error('down')
      joined.push(parts.map(({ id, n }) => `${id}${n}`).join())
    },
  )
  await using w = await lenientWorld([twice])
  await w.publish(A({ id: 'k', n: 1 }))
  await w.settled()
  broken = false
  await w.advance('5m')
  assert.deepEqual(joined, ['k1,k1'])
})
