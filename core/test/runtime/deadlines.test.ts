/** A deadline fires once at its time, unless one of its events has come, through restarts, backlogs and failures. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { service } from 'quadrille'
import { Answered, Asked, Cancelled, Undone, db, effect, effects, effectTable, fileWorld, ledgerFile, lenientWorld, effectWorld } from './setup.ts' // prettier-ignore

function watcher(onFire: (attempt: number, at: Date) => void = () => {}) {
  return service('watcher', { db }).deadline(
    Asked,
    {
      name: 'expire',
      unless: [Answered, Cancelled],
      within: '15m',
      emits: [Undone],
      retry: { attempts: 5, base: '1m' },
    },
    ({ id }, { db: handle, attempt, now }) => {
      effect(handle, id)
      onFire(attempt, now())
      return Undone({ id })
    },
  )
}

test('a deadline fires when its time has come, and not before', async () => {
  const fired: Date[] = []
  const service1 = watcher((_, at) => fired.push(at))
  await using w = await effectWorld([service1])
  const startMs = w.env.now()
  await w.publish(Asked({ id: 'k' }))
  await w.advance(15 * 60_000 - 1)
  w.neverSaw(Undone)
  await w.advance(1)
  assert.deepEqual(w.saw(Undone), [{ id: 'k', n: 0 }])
  assert.equal(fired[0]!.getTime() - startMs, 15 * 60_000)
  await w.advance('1d')
  assert.deepEqual(await effects(w.app, service1), { k: 1 })
})

test('a deadline does not fire when one of its events has come, after the start or before it', async () => {
  const service1 = watcher()
  await using w = await effectWorld([service1])
  await w.publish([Asked({ id: 'after' }), Cancelled({ id: 'before' }), Asked({ id: 'open' })])
  await w.advance('10m')
  await w.publish([Answered({ id: 'after' }), Asked({ id: 'before' })])
  await w.advance('1d')
  assert.deepEqual(w.saw(Undone).map(({ id }) => id), ['open']) // prettier-ignore
})

test('a second start of the same key arms nothing again, neither while it is armed nor after it fired', async () => {
  const service1 = watcher()
  await using w = await effectWorld([service1])
  await w.publish(Asked({ id: 'k' }))
  await w.advance('10m')
  await w.publish(Asked({ id: 'k', n: 2 }))
  await w.advance('5m')
  assert.equal(w.saw(Undone).length, 1)
  await w.publish(Asked({ id: 'k', n: 3 }))
  await w.advance('1d')
  assert.deepEqual(await effects(w.app, service1), { k: 1 })
})

test('a deadline survives a restart, counts from the time of its event, and fires once', async (t) => {
  const path = ledgerFile(t)
  {
    const service1 = watcher()
    await using w = await fileWorld(path, [service1])
    await effectTable(w.app, service1)
    await w.publish([Asked({ id: 'k' }), Asked({ id: 'settled' })])
    await w.settled()
  }
  {
    await using w = await fileWorld(path, [watcher()])
    await w.publish(Answered({ id: 'settled' }))
    await w.advance('14m')
    w.neverSaw(Undone)
    await w.advance('1m')
    assert.deepEqual(w.saw(Undone).map(({ id }) => id), ['k']) // prettier-ignore
  }
  const service1 = watcher()
  await using w = await fileWorld(path, [service1])
  await w.advance('1h')
  w.neverSaw(Undone)
  assert.deepEqual(await effects(w.app, service1), { k: 1 })
})

test('an event that settles a deadline counts although it still sits in a backlog when the time has come', async (t) => {
  const path = ledgerFile(t)
  const service1 = watcher()
  {
    await using w = await fileWorld(path, [service1])
    await effectTable(w.app, service1)
    await w.publish([Asked({ id: 'settled' }), Asked({ id: 'open' })])
    await w.settled()
  }
  {
    // Another service appends while the watcher is away.
    await using w = await fileWorld(path, [service('other').on(Undone, () => {})])
    await w.publish(Array.from({ length: 100 }, (_, i) => Answered({ id: `filler ${i}` })))
    await w.publish(Cancelled({ id: 'settled' }))
    await w.settled()
  }
  const late = watcher()
  await using w = await fileWorld(path, [late], {
    batchMax: 4,
    startMs: Date.UTC(2026, 0, 1) + 60 * 60_000,
  })
  await w.settled()
  assert.deepEqual(await effects(w.app, late), { open: 1 })

  // The same again: the reader must not take the end of the first backlog for that of the second.
  const longAgo = new Date(w.env.now() - 60 * 60_000).toISOString()
  const source = { specversion: '1.0', source: 'elsewhere', time: longAgo }
  const cloudEvent = (type: string, id: string) => ({
    ...source,
    id: `${type} ${id}`,
    type,
    partitionkey: id,
    data: { id },
  })
  const fillers = Array.from({ length: 100 }, (_, i) => cloudEvent(Answered.type, `more filler ${i}`))
  const second = [cloudEvent(Asked.type, 'second'), ...fillers, cloudEvent(Cancelled.type, 'second')]
  await w.app.receive(second.map((event) => new TextEncoder().encode(JSON.stringify(event))))
  await w.settled()
  assert.deepEqual(await effects(w.app, late), { open: 1 })
})

test('a failing deadline handler is retried, runs once, and what comes for its key waits its turn', async () => {
  const service1 = watcher((attempt) => {
    if (attempt < 3) throw new Error('down')
  })
  await using w = await effectWorld([service1])
  await w.publish(Asked({ id: 'k' }))
  await w.advance('15m')
  await w.publish([Answered({ id: 'k' }), Asked({ id: 'k', n: 2 })])
  await w.advance('1d')
  assert.equal(w.saw(Undone).length, 1)
  assert.deepEqual(await effects(w.app, service1), { k: 1 })
  assert.equal((await w.app.health()).readers[0]!.waiting, 0)
})

test('a deadline that became a dead letter is settled by an event that comes meanwhile, so that a redrive does nothing', async () => {
  let broken = true
  const service1 = watcher(() => {
    if (broken) throw new Error('down')
  })
  await using w = await effectWorld([service1])
  await w.publish([Asked({ id: 'settled' }), Asked({ id: 'open' })])
  await w.advance('1d')
  const letters = await w.app.deadLetters.list()
  assert.deepEqual(letters.map(({ role, code }) => [role, code]), [['deadline', 'Error'], ['deadline', 'Error']]) // prettier-ignore
  await w.publish(Answered({ id: 'settled' }))
  await w.settled()
  broken = false
  await w.app.deadLetters.redrive({})
  await w.advance('1d')
  assert.deepEqual(await effects(w.app, service1), { open: 1 })
})

test('deadlines also fire on time under a backlog that never ends', async () => {
  const fired: string[] = []
  let rest = 900
  const busy = service('busy')
    .deadline(Asked, { name: 'expire', unless: [Cancelled], within: 5 }, ({ id }) => void fired.push(id))
    .on(Answered, { emits: [Answered], maxHops: 1_000, name: 'loop' }, async (answered) => {
      // Time goes by while the log grows.
      await w.env.advance(1)
      return rest-- > 0 && fired.length === 0 ? Answered(answered) : undefined
    })
  await using w = await lenientWorld([busy], { batchMax: 1 })
  await w.publish([Asked({ id: 'k' }), ...['l', 'm', 'n'].map((id) => Answered({ id }))])
  await w.settled()
  assert.deepEqual(fired, ['k'])
  assert.ok(rest > 700, `it fired long before the end of the backlog: ${rest}`)
})
