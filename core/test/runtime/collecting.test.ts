/** Reactions that take several events at once, only the latest, or only so many in a time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { service } from 'quadrille'
import { Answered, Asked, db, effect, effects, fileWorld, ledgerFile, lenientWorld, effectWorld } from './setup.ts'

const many = (count: number) => Array.from({ length: count }, (_, i) => Asked({ id: `k${i}`, n: i }))

test('a batch reaction gets up to `size` events at once, in order, and its effects commit together', async () => {
  const sizes: number[] = []
  const order: number[] = []
  const oracle = service('oracle', { db }).on(Asked, { batch: { size: 4 }, emits: [Answered] }, (list, c) => {
    sizes.push(list.length)
    assert.deepEqual(
      c.events.map(({ key }) => key),
      list.map(({ id }) => id),
    )
    for (const { id, n } of list) {
      effect(c.db, id)
      order.push(n)
    }
    return list.map((asked) => Answered(asked))
  })
  await using w = await effectWorld([oracle])
  await w.publish(many(10))
  await w.settled()
  assert.deepEqual(sizes, [4, 4, 2])
  assert.deepEqual(
    order,
    [...order].sort((a, b) => a - b),
  )
  assert.equal(w.saw(Answered).length, 10)
  assert.ok(Object.values(await effects(w.app, oracle)).every((times) => times === 1))
})

test('a batch reaction waits `within` for more events, and no longer once its batch is full', async () => {
  const batches: string[][] = []
  const oracle = service('oracle').on(Asked, { batch: { size: 3, within: '10s' } }, (list) => {
    batches.push(list.map(({ id }) => id))
  })
  await using w = await lenientWorld([oracle])
  await w.publish(many(4))
  await w.settled()
  assert.deepEqual(batches, [['k0', 'k1', 'k2']])
  await w.advance('5s')
  await w.publish(Asked({ id: 'late' }))
  await w.advance(4_999)
  assert.equal(batches.length, 1)
  await w.advance(1)
  assert.deepEqual(batches[1], ['k3', 'late'])
})

test('a collected batch survives a restart', async (t) => {
  const path = ledgerFile(t)
  const batches: string[][] = []
  const oracle = () =>
    service('oracle').on(Asked, { batch: { size: 3, within: '10s' } }, (list) => {
      batches.push(list.map(({ id }) => id))
    })
  {
    await using w = await fileWorld(path, [oracle()])
    await w.publish(many(2))
    await w.settled()
  }
  await using w = await fileWorld(path, [oracle()])
  await w.publish(Asked({ id: 'third' }))
  await w.settled()
  assert.deepEqual(batches, [['k0', 'k1', 'third']])
})

for (const within of [0, '10s'] as const) {
  test(`one failing event of a batch (within ${within}) is found and parked alone; the others are handled once`, async () => {
    let broken = true
    const oracle = service('oracle', { db }).on(
      Asked,
      { batch: { size: 5, within }, retry: { attempts: 3, base: '1m' } },
      (list, c) => {
        for (const { id, n } of list) {
          effect(c.db, `${id} ${n}`)
          if (broken && id === 'k2') throw new Error('this one')
        }
      },
    )
    await using w = await effectWorld([oracle])
    await w.publish([...many(5), Asked({ id: 'k2', n: 7 })])
    await w.advance('11s')
    assert.deepEqual(await effects(w.app, oracle), { 'k0 0': 1, 'k1 1': 1, 'k3 3': 1, 'k4 4': 1 })
    broken = false
    await w.advance('10m')
    const all = await effects(w.app, oracle)
    assert.deepEqual(all, { 'k0 0': 1, 'k1 1': 1, 'k2 2': 1, 'k2 7': 1, 'k3 3': 1, 'k4 4': 1 })
    assert.equal((await w.app.health()).readers[0]!.waiting, 0)
  })
}

test('an event that comes while one of its key is retried in a batch is handled after it, and not forgotten', async () => {
  let broken = true
  const order: string[] = []
  const oracle = service('oracle').on(Asked, { batch: { size: 5 }, retry: { base: '1s', max: '1s', attempts: 20 } }, (list) => {
    if (broken && list.some(({ id }) => id === 'k')) throw new Error('down')
    order.push(...list.map(({ id, n }) => `${id}${n}`))
  }) // prettier-ignore
  const later: (() => Promise<unknown>)[] = [() => w.publish(Asked({ id: 'k', n: 2 }))]
  await using w = await lenientWorld([oracle], {
    // In the very turn in which the retry succeeds.
    hooks: { idle: () => void (w?.env.now() > Date.UTC(2026, 0, 1) && later.shift()?.()) },
  })
  await w.publish(Asked({ id: 'k', n: 1 }))
  await w.settled()
  broken = false
  const due = w.env.nextTimerAt() - w.env.now()
  void w.publish(Asked({ id: 'k', n: 3 }))
  await w.env.advance(due)
  await w.advance('1m')
  assert.deepEqual(order.sort(), ['k1', 'k2', 'k3'])
  assert.equal((await w.app.health()).readers[0]!.waiting, 0)
})

test('a coalescing reaction handles only the latest event of each key, when the time of the first is over', async () => {
  const handled: string[] = []
  const oracle = service('oracle').on(
    Asked,
    { coalesce: { within: '10s' } },
    ({ id, n }) => void handled.push(`${id}${n}`),
  )
  await using w = await lenientWorld([oracle])
  await w.publish([Asked({ id: 'a', n: 1 }), Asked({ id: 'b', n: 1 }), Asked({ id: 'a', n: 2 })])
  await w.advance('9s')
  await w.publish(Asked({ id: 'a', n: 3 }))
  await w.settled()
  assert.deepEqual(handled, [])
  await w.advance('1s')
  assert.deepEqual(handled.sort(), ['a3', 'b1'])
  await w.publish(Asked({ id: 'a', n: 4 }))
  await w.advance('10s')
  assert.deepEqual(handled.sort(), ['a3', 'a4', 'b1'])
})

test('a coalescing reaction goes on to coalesce while an event of its key is retried', async () => {
  let broken = true
  const handled: number[] = []
  const oracle = service('oracle').on(
    Asked,
    { coalesce: { within: '10s' }, retry: { attempts: 20, base: '10m', max: '10m' } },
    ({ n }) => {
      if (broken) throw new Error('down')
      handled.push(n)
    },
  )
  await using w = await lenientWorld([oracle], { seed: 3 })
  await w.publish(Asked({ id: 'k', n: 0 }))
  await w.advance('10s')
  for (let n = 1; n <= 50; n++) await w.publish(Asked({ id: 'k', n }))
  await w.advance('10s')
  broken = false
  await w.advance('1h')
  assert.deepEqual(handled, [0, 50])
})

test('a rate limit lets no more than `limit` through in any stretch of `per`, and loses none', async () => {
  const times: number[] = []
  const oracle = service('oracle').on(Asked, { rate: { limit: 10, per: '1m' } }, () => void times.push(w.env.now()))
  await using w = await lenientWorld([oracle])
  await w.publish(many(35))
  await w.settled()
  assert.equal(times.length, 10)
  await w.advance('10m')
  assert.equal(times.length, 35)
  for (let i = 10; i < times.length; i++) assert.ok(times[i]! - times[i - 10]! >= 60_000, `handling ${i} came too soon`)
  assert.equal((await w.app.health()).readers[0]!.waiting, 0)
})

test('a rate limit holds for calls, for retries, and after a restart with a backlog', async (t) => {
  const path = ledgerFile(t)
  const calls: number[] = []
  let now = () => 0
  const oracle = () =>
    service('oracle').on(
      Asked,
      {
        rate: { limit: 5, per: '1m' },
        concurrency: 1,
        call: (_, { attempt }) => {
          calls.push(now())
          if (attempt === 1) throw new Error('down')
        },
      },
      () => {},
    )
  {
    await using w = await fileWorld(path, [oracle()])
    now = w.env.now
    await w.publish(many(20))
    await w.settled()
    assert.ok(calls.length > 0 && calls.length <= 5)
  }
  const before = calls.length
  calls.length = 0
  await using w = await fileWorld(path, [oracle()], { startMs: Date.UTC(2026, 0, 2) })
  now = w.env.now
  await w.advance('1h')
  assert.equal(before + calls.length, 40)
  for (let i = 5; i < calls.length; i++) assert.ok(calls[i]! - calls[i - 5]! >= 60_000, `call ${i} came too soon`)
  assert.deepEqual(await w.app.deadLetters.list(), [])
})
