/** A reaction that is new in a ledger says where it starts; what it has begun it goes on with. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { service, type AnyService } from 'quadrille'
import { Answered, Asked, Cancelled, Undone, fileWorld, ledgerFile } from './setup.ts'

/** A ledger whose service `oracle` has handled three events. */
async function ledgerWithEvents(path: string): Promise<void> {
  await using w = await fileWorld(path, [service('oracle').on(Asked, { name: 'old' }, () => {})])
  await w.publish([1, 2, 3].map((n) => Asked({ id: 'k', n })))
  await w.settled()
}

const withOld = (more: (oracle: ReturnType<typeof service>) => AnyService) =>
  more(service('oracle').on(Asked, { name: 'old' }, () => {}))

test('a new reaction does not start in a ledger that holds its events unless it says from where', async (t) => {
  const path = ledgerFile(t)
  await ledgerWithEvents(path)
  const added = withOld((oracle) => oracle.on(Asked, { name: 'new' }, () => {}))
  await assert.rejects(fileWorld(path, [added]), { code: 'START_POSITION_NEEDED' })
  await assert.rejects(fileWorld(path, [service('other').on(Asked, () => {})]), { code: 'START_POSITION_NEEDED' })
  await using w = await fileWorld(path, [withOld((oracle) => oracle.on(Cancelled, { name: 'new' }, () => {}))])
  assert.deepEqual((await w.app.health()).readers.map(({ reader }) => reader), ['oracle', 'oracle/new'], 'there are none of its events') // prettier-ignore
})

test('its events are found however many others stand before them', async (t) => {
  const path = ledgerFile(t)
  {
    await using w = await fileWorld(path, [service('oracle').on(Asked, { name: 'old' }, () => {})])
    for (let n = 0; n < 6; n++) await w.publish(Array.from({ length: 1_000 }, (_, i) => Asked({ id: `k${i}` })))
    await w.publish(Answered({ id: 'k' }))
    await w.settled()
  }
  const late = service('late').on(Answered, () => {})
  await assert.rejects(fileWorld(path, [late]), { code: 'START_POSITION_NEEDED' })
})

test("from: 'now' leaves old events alone and handles later ones, through restarts", async (t) => {
  const path = ledgerFile(t)
  await ledgerWithEvents(path)
  const handled: string[] = []
  const added = () =>
    withOld((oracle) => oracle.on(Asked, { name: 'new', from: 'now' }, ({ n }) => void handled.push(`added ${n}`)))
  const fresh = () =>
    service('fresh')
      .on(Asked, { name: 'now', from: 'now' }, ({ n }) => void handled.push(`now ${n}`))
      .on(Asked, { name: 'all', from: 'beginning' }, ({ n }, { replay }) => void (replay || handled.push(`all ${n}`)))
  for (const n of [4, 5]) {
    await using w = await fileWorld(path, [added(), fresh()])
    await w.publish(Asked({ id: 'k', n }))
    await w.settled()
  }
  assert.deepEqual(handled.sort(), ['added 4', 'added 5', 'all 4', 'all 5', 'now 4', 'now 5'])
})

test("from: 'beginning' handles every event, as a replay where it is older than the reaction, in a reader of its own", async (t) => {
  const path = ledgerFile(t)
  await ledgerWithEvents(path)
  const handled: string[] = []
  const added = () =>
    withOld((oracle) =>
      oracle.on(Asked, { name: 'new', from: 'beginning' }, ({ n }, { replay }) => void handled.push(`${n} ${replay}`)),
    )
  {
    await using w = await fileWorld(path, [added()])
    await w.publish(Asked({ id: 'k', n: 4 }))
    await w.settled()
    assert.deepEqual((await w.app.health()).readers.map(({ reader }) => reader), ['oracle', 'oracle/new']) // prettier-ignore
  }
  assert.deepEqual(handled, ['1 true', '2 true', '3 true', '4 false'])
  await using w = await fileWorld(path, [added()])
  await w.publish(Asked({ id: 'k', n: 5 }))
  await w.settled()
  assert.deepEqual(handled.slice(4), ['5 false'], 'a second start goes on where the first ended')
})

test('failures, retries and dead letters of a reader of its own work as everywhere', async (t) => {
  const path = ledgerFile(t)
  await ledgerWithEvents(path)
  let broken = true
  const handled: number[] = []
  const added = withOld((oracle) =>
    oracle.on(Asked, { name: 'new', from: 'beginning', retry: { attempts: 2 } }, ({ n }) => {
      if (broken && n === 1) throw new Error('down')
      handled.push(n)
    }),
  )
  await using w = await fileWorld(path, [added])
  await w.advance('10m')
  assert.deepEqual(handled, [2, 3])
  assert.equal((await w.app.deadLetters.list({ reaction: 'new' })).length, 1)
  broken = false
  await w.app.deadLetters.redrive({})
  await w.settled()
  assert.deepEqual(handled, [2, 3, 1])
  const token = await w.publish(Asked({ id: 'k', n: 4 }))
  await w.app.seen(token, added)
  assert.deepEqual(handled, [2, 3, 1, 4])
})

const outside: readonly [string, (from: { from: 'beginning'; replay?: boolean }) => AnyService][] = [
  ['calls', (from) => service('new').on(Asked, { ...from, call: () => 1 }, () => {})],
  ['calls', (from) => service('new').on(Asked, { ...from, undo: { on: [Cancelled], call: () => 1, run: () => {} } }, () => {})], // prettier-ignore
  ['events', (from) => service('new').on(Asked, { ...from, emits: [Answered] }, () => {})],
  ['events', (from) => service('new').on(Asked, { ...from, undo: { on: [Cancelled], emits: [Undone], run: () => {} } }, () => {})], // prettier-ignore
  ['deadlines', (from) => service('new').deadline(Asked, { ...from, unless: [Answered], within: '1h' }, () => {})],
]

for (const [index, [why, make]] of outside.entries()) {
  test(`a replay that would repeat ${why} needs replay: true (${index + 1})`, async (t) => {
    const path = ledgerFile(t)
    await ledgerWithEvents(path)
    await assert.rejects(
      fileWorld(path, [make({ from: 'beginning' })]),
      (error: { code: string; message: string }) => error.code === 'REPLAY_NEEDS_OPT_IN' && error.message.includes(why),
    )
    await using w = await fileWorld(path, [make({ from: 'beginning', replay: true })])
    await w.settled()
  })
}

test('nothing is written down for a service whose start was refused', async (t) => {
  const path = ledgerFile(t)
  await ledgerWithEvents(path)
  const wrong = withOld((oracle) =>
    oracle.on(Asked, { name: 'one', from: 'now' }, () => {}).on(Asked, { name: 'two' }, () => {}),
  )
  await assert.rejects(fileWorld(path, [wrong]), { code: 'START_POSITION_NEEDED' })
  const right = withOld((oracle) => oracle.on(Asked, { name: 'one' }, () => {}))
  await assert.rejects(fileWorld(path, [right]), { code: 'START_POSITION_NEEDED' })
})

test('what happened while no app ran is handled by the next one, in order and once', async (t) => {
  const path = ledgerFile(t)
  const handled: number[] = []
  const oracle = () => service('oracle').on(Asked, ({ n }) => void handled.push(n))
  {
    await using w = await fileWorld(path, [oracle()])
    await w.publish(Asked({ id: 'k', n: 1 }))
    await w.settled()
  }
  {
    await using w = await fileWorld(path, [service('publisher').on(Undone, () => {})])
    await w.publish([2, 3].map((n) => Asked({ id: 'k', n })))
    await w.settled()
  }
  await using w = await fileWorld(path, [oracle()])
  await w.settled()
  assert.deepEqual(handled, [1, 2, 3])
})
