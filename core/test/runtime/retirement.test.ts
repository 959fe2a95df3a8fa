/** A service or a wire that is no more: until somebody says so, the ledger keeps everything for it. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { service, silentLogger, start, systemEnv, type AnyService, type App } from 'quadrille'
import { memoryHub } from 'quadrille/memory'
import { sqlite } from 'quadrille/sqlite'
import { Answered, Asked, fileWorld, ledgerFile } from './setup.ts'

const retention = { events: '2h', memory: '10d', every: '30m' } as const

const other = () => service('other').on(Asked, { name: 'see' }, () => {})

/** A file on which `gone` has run, and handled one event. */
async function fileOf(t: TestContext, gone: AnyService): Promise<string> {
  const file = ledgerFile(t)
  await using w = await fileWorld(file, [gone, other()])
  await w.publish(Asked({ id: 'first', n: 1 }))
  await w.settled()
  return file
}

const shipping = (handled: number[] = []) =>
  service('shipping').on(Asked, { name: 'ship' }, ({ n }) => void handled.push(n))

test('a service that is no more is named by health(), and once retired keeps nothing', async (t) => {
  const file = await fileOf(t, shipping())
  await using w = await fileWorld(file, [other()], { retention })
  const { correlationId } = await w.publish(Asked({ id: 'k', n: 2 }))
  const kept = async () => (await w.app.flow(correlationId)).events.length
  await w.advance('90m')
  assert.deepEqual((await w.app.health()).problems, [])
  await w.advance('10h')
  assert.equal(await kept(), 1)
  const [problem, ...more] = (await w.app.health()).problems
  assert.match(problem!, /^shipping has not handled .* app\.retire\(\{ service: 'shipping' \}\)$/)
  assert.deepEqual(more, [])
  const retired = await w.app.retire({ service: 'shipping' })
  assert.deepEqual(retired, { readers: ['shipping'], waiting: 0, deadLetters: 0 })
  assert.deepEqual((await w.app.health()).problems, [])
  await w.advance('2h')
  assert.equal(await kept(), 0)
})

test('what waits for a retired service does not keep the ledger from forgetting, and goes on when it comes back', async (t) => {
  const file = ledgerFile(t)
  const handled: string[] = []
  const ship = (isDown: boolean) =>
    service('shipping').on(Asked, { name: 'ship', from: 'now', retry: { base: '100d', max: '100d' } }, ({ id }) => {
      if (isDown) throw new Error('down')
      handled.push(id)
    })
  {
    await using w = await fileWorld(file, [ship(true), other()])
    await w.publish(Asked({ id: 'waits', n: 1 }))
    await w.settled()
  }
  const first = Asked({ id: 'k' }, { id: 'the-first' })
  {
    await using w = await fileWorld(file, [other()], { retention })
    assert.deepEqual(await w.app.retire({ service: 'shipping' }), { readers: ['shipping'], waiting: 1, deadLetters: 0 })
    await w.publish(first)
    await w.advance('40d')
    // Its id is forgotten, too, as nothing waits that could ask for it.
    assert.equal((await w.publish(first)).events.length, 1)
    await w.settled()
  }
  await using w = await fileWorld(file, [ship(false), other()])
  await w.publish(Asked({ id: 'later' }))
  await w.advance('101d')
  assert.deepEqual(handled, ['later', 'waits'])
})

for (const [from, expected] of [
  ['now', [4]],
  ['beginning', [2, 3, 4]],
] as const)
  test(`a retired service that comes back must say from: with '${from}' it handles ${expected.join(', ')}`, async (t) => {
    const file = await fileOf(t, shipping())
    {
      await using w = await fileWorld(file, [other()])
      await w.publish(Asked({ id: 'k', n: 2 }))
      await w.app.retire({ service: 'shipping' })
      await w.publish(Asked({ id: 'k', n: 3 }))
      await w.settled()
    }
    await assert.rejects(fileWorld(file, [shipping(), other()]), { code: 'START_POSITION_NEEDED' })
    const handled: number[] = []
    const back = service('shipping').on(Asked, { name: 'ship', from }, ({ n }) => void handled.push(n))
    for (const last of [4, 5]) {
      await using w = await fileWorld(file, [back, other()])
      await w.publish(Asked({ id: 'k', n: last }))
      await w.settled()
    }
    assert.deepEqual(handled, [...expected, 5])
  })

test('the readers of reactions that were added later are retired with their service', async (t) => {
  const file = await fileOf(t, shipping())
  {
    await using w = await fileWorld(file, [shipping().on(Answered, { name: 'answer' }, () => {}), other()])
    await w.publish(Answered({ id: 'k' }))
    await w.settled()
  }
  await using w = await fileWorld(file, [other()], { retention })
  const { correlationId } = await w.publish(Answered({ id: 'k' }))
  const { readers } = await w.app.retire({ service: 'shipping' })
  assert.deepEqual(readers.toSorted(), ['shipping', 'shipping/answer'])
  await w.advance('5h')
  assert.deepEqual((await w.app.flow(correlationId)).events, [])
})

test('a service whose reactions have all been replaced leaves nothing behind a day later', async (t) => {
  const file = await fileOf(t, shipping())
  const renamed = service('shipping').on(Asked, { name: 'send', from: 'now' }, () => {})
  await using w = await fileWorld(file, [renamed, other()], { retention })
  const { correlationId } = await w.publish(Asked({ id: 'k' }))
  await w.advance('28h')
  assert.deepEqual((await w.app.flow(correlationId)).events, [])
  assert.deepEqual((await w.app.health()).problems, [])
})

/** An app as a process of its own would have it. */
async function startOn(t: TestContext, services: readonly AnyService[], file: string): Promise<App> {
  const app = await start({ services, ledger: sqlite(file), log: silentLogger, lease: '5s' })
  t.after(() => app.stop())
  return app
}

test('what runs, here or elsewhere, and what nobody knows is not retired', async (t) => {
  const file = await fileOf(t, shipping())
  const here = await startOn(t, [other()], file)
  const there = await startOn(t, [shipping()], file)
  const refused = (problem: RegExp) => ({ code: 'RETIRE_REFUSED', message: problem })
  await assert.rejects(here.retire({ service: 'other' }), refused(/it runs in this app/))
  await assert.rejects(here.retire({ service: 'shipping' }), refused(/another process runs it/))
  await assert.rejects(here.retire({ service: 'shiping' }), refused(/no service of that name .*known: other, shipping/))
  await assert.rejects(here.retire({ wire: 'kafka' }), refused(/no wire of that name .*known: none/))
  await assert.rejects(here.retire('shipping' as never), { code: 'OPTION_INVALID' })
  // It was not disturbed.
  const token = await here.publish(Asked({ id: 'k' }))
  await there.seen(token, 'shipping')
  await there.stop()
  assert.deepEqual((await here.retire({ service: 'shipping' })).readers, ['shipping'])
})

test('a wire that is no more keeps everything, until it is retired; its name can not be used again', async (t) => {
  const file = ledgerFile(t)
  const startWith = () =>
    start({ services: [other()], ledger: sqlite(file), log: silentLogger, wires: [memoryHub().wire()] })
  const app = await startWith()
  await app.publish(Asked({ id: 'first' }))
  await app.stop()
  {
    await using w = await fileWorld(file, [other()], { retention, startMs: systemEnv.now() })
    const { correlationId } = await w.publish(Asked({ id: 'k' }))
    await w.advance('10h')
    assert.match((await w.app.health()).problems.join(), /^~relay\/memory .* app\.retire\(\{ wire: 'memory' \}\)$/)
    assert.equal((await w.app.flow(correlationId)).events.length, 1)
    await w.app.retire({ wire: 'memory' })
    await w.advance('2h')
    assert.equal((await w.app.flow(correlationId)).events.length, 0)
  }
  await assert.rejects(startWith(), { code: 'WIRE_RETIRED' })
})
