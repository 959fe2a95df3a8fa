/** outcome() for many at once: the past is searched once for each, and what comes is read once for all. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { choreography, QuadrilleError, service, silentLogger, start, type Ledger } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import { Answered, Asked, Cancelled, fileWorld, gate, ledgerFile } from './setup.ts'

const oracle = () =>
  service('oracle').on(Asked, { emits: [Answered] }, ({ id, n }) => (n > 0 ? Answered({ id, n }) : undefined))
const danceOf = (end: typeof Answered | typeof Cancelled) =>
  choreography('dance', { services: [service('somebody')], starts: [Asked], ends: { success: [end] }, within: '10m' })

/** A ledger whose calls are counted, and of which one method can be replaced. */
function watched(path: string, replaced: Partial<Ledger> = {}) {
  const calls = new Map<string, number>()
  const inner = sqlite(path, { synchronous: 'NORMAL' })
  const ledger = new Proxy<Ledger>(inner, {
    get(target, name) {
      const value = Reflect.get(target, name) as unknown
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => {
        calls.set(String(name), (calls.get(String(name)) ?? 0) + 1)
        const own = Reflect.get(replaced, name) as unknown
        return Reflect.apply((own ?? value) as (...args: unknown[]) => unknown, target, args)
      }
    },
  })
  return { ledger, inner, calls: (name: keyof Ledger) => calls.get(name) ?? 0 }
}

test('a thousand that wait at once search the past once each, and share what is read afterwards', async (t) => {
  const { ledger, calls } = watched(ledgerFile(t))
  await using w = await fileWorld(':memory:', [oracle()], { ledger })
  const keys = Array.from({ length: 1_000 }, (_, n) => `k${n}`)
  const ends = keys.map((key) => w.app.outcome(danceOf(Answered), key))
  for (const key of keys) await w.publish(Asked({ id: key, n: 1 }))
  for (const [at, end] of (await Promise.all(ends)).entries()) assert.equal(end.event.key, keys[at])
  assert.equal(calls('find'), 1_000)
  // A turn of the reader and a look of those who wait for each of a thousand commits, and not a thousand looks for each.
  assert.ok(calls('read') < 20_000, `${calls('read')} reads`)
  assert.ok(calls('health') < 10, `${calls('health')} times asked for the end of the log`)
})

test('a page that was asked for before one came, and knows nothing of its types, hides no end from it', async (t) => {
  const path = ledgerFile(t)
  const [asked, goOn] = [gate(), gate()]
  let holds = false
  const read: Ledger['read'] = async (query) => {
    if (holds && query.types?.includes(Answered.type)) {
      holds = false
      asked.open()
      await goOn.promise
    }
    return inner.read(query)
  }
  const { ledger, inner } = watched(path, { read })
  await using w = await fileWorld(':memory:', [service('publisher').on(Asked, () => {})], { ledger })
  const first = w.app.outcome(danceOf(Answered), 'first')
  await w.settled()
  holds = true
  await w.publish(Asked({ id: 'x' }))
  await asked.promise
  const second = w.app.outcome(danceOf(Cancelled), 'second', { timeout: '1s' })
  await w.publish(Cancelled({ id: 'second' }))
  goOn.open()
  await w.advance('1s')
  assert.equal((await second).event.type, 'cancelled')
  await w.publish(Answered({ id: 'first' }))
  assert.equal((await first).event.type, 'answered')
})

test('an end that another process brings is found, and one that comes with the last look', async (t) => {
  const path = ledgerFile(t)
  await using waiting = await fileWorld(path, [oracle()])
  const end = waiting.app.outcome(danceOf(Cancelled), 'k')
  const late = waiting.app.outcome(danceOf(Cancelled), 'late', { timeout: '1s' })
  await using other = await fileWorld(path, [service('publisher').on(Asked, () => {})])
  await other.publish(Cancelled({ id: 'k' }))
  await waiting.advance('300ms')
  assert.equal((await end).event.type, 'cancelled')
  await waiting.advance('550ms')
  await other.publish(Cancelled({ id: 'late' }))
  await waiting.advance('200ms')
  assert.equal((await late).event.type, 'cancelled')
})

test('what is appended while a page is being read is looked for at once', async (t) => {
  const [read, goOn] = [gate(), gate()]
  let holds = false
  const { ledger, inner } = watched(ledgerFile(t), {
    async read(query) {
      const page = await inner.read(query)
      if (holds) {
        holds = false
        read.open()
        await goOn.promise
      }
      return page
    },
  })
  await using w = await fileWorld(':memory:', [service('publisher')], { ledger })
  const end = w.app.outcome(danceOf(Answered), 'k')
  await w.settled()
  holds = true
  await w.publish(Asked({ id: 'x' }))
  await read.promise
  await w.publish(Answered({ id: 'k' }))
  goOn.open()
  let told = false
  void end.then(() => (told = true))
  // Time stands still here, so nothing but the word of the ledger can have led to it.
  for (let turn = 0; turn < 100 && !told; turn++) await setImmediate()
  assert.ok(told)
})

test('without any word of the ledger it is looked for again and again', async (t) => {
  const { ledger, calls } = watched(ledgerFile(t), { onAppend: () => () => {} })
  const app = await start({ services: [service('publisher')], ledger, log: silentLogger })
  const end = app.outcome(danceOf(Answered), 'k', { timeout: '10s' })
  while (calls('read') < 3) await setTimeout(10)
  await app.publish(Answered({ id: 'k' }))
  assert.equal((await end).event.key, 'k')
  await app.stop()
})

test('who waits soon after another one goes on from where that one was', async (t) => {
  const { ledger, calls } = watched(ledgerFile(t))
  await using w = await fileWorld(':memory:', [oracle()], { ledger })
  const before = calls('health')
  for (let n = 0; n < 20; n++) {
    const end = w.app.outcome(danceOf(Answered), `k${n}`)
    await w.publish(Asked({ id: `k${n}`, n: 1 }))
    await end
  }
  assert.equal(calls('health') - before, 1)
})

test('when the ledger can not be read all who wait are told, and whoever comes later waits as usual', async (t) => {
  let broken = false
  const refuse =
    <Args extends readonly unknown[], T>(call: (...args: Args) => Promise<T>) =>
    async (...args: Args): Promise<T> => {
      if (broken) throw new QuadrilleError('LEDGER_BUSY', { ledger: 'of a test', waitedMs: 1 })
      return call(...args)
    }
  const path = ledgerFile(t)
  const { ledger, inner } = watched(path, {
    read: (query) => refuse((each: typeof query) => inner.read(each))(query),
    health: () => refuse(() => inner.health())(),
  })
  await using w = await fileWorld(':memory:', [service('publisher')], { ledger })
  const waits = ['a', 'b'].map((key) => w.app.outcome(danceOf(Answered), key))
  const refusals = waits.map((wait) => assert.rejects(wait, { code: 'LEDGER_BUSY' }))
  await w.settled()
  broken = true
  await w.publish(Asked({ id: 'x' }))
  await w.advance('300ms')
  await Promise.all(refusals)
  await w.advance('1s')
  await assert.rejects(w.app.outcome(danceOf(Answered), 'c'), { code: 'LEDGER_BUSY' })
  broken = false
  const end = w.app.outcome(danceOf(Answered), 'd')
  await w.publish(Answered({ id: 'd' }))
  assert.equal((await end).event.key, 'd')
})
