/** What may still be asked for is not forgotten, however long it takes; what can not, is. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { event, isQuadrilleError, service, start, type AnyService, type Duration, type Emitted } from 'quadrille'
import { Answered, Asked, Cancelled, fileWorld, ledgerFile, lenientWorld, schema } from './setup.ts'

const retention = { events: '1d', memory: '10d', every: '30m' } as const
const long = '15d'

/** Does on `asked`, undoes on `cancelled`. */
function doer(done: string[]): AnyService {
  const run = ({ id }: { id: string }) => void done.push(`undone ${id}`)
  return service('doer').on(Asked, { undo: { on: [Cancelled], run } }, ({ id }) => void done.push(`done ${id}`))
}

/** Lives for a while with these services on the ledger of the test, and does something at first. */
function lives(t: TestContext) {
  const path = ledgerFile(t)
  let startMs = Date.UTC(2026, 0, 1)
  return async (services: readonly AnyService[], time: Duration, first: readonly Emitted[] = []): Promise<number> => {
    await using w = await fileWorld(path, services, { retention, startMs })
    if (first.length > 0) await w.publish(first)
    await w.advance(time)
    startMs = w.env.now()
    return fences(w.app.ledger, 'doer')
  }
}

const bystander = () => service('bystander').on(Answered, () => {})

test('an undo that waits in a backlog for longer than everything is remembered finds what it is to undo', async (t) => {
  const done: string[] = []
  const live = lives(t)
  await live([doer(done)], '1h', [Asked({ id: 'a' })])
  await live([bystander()], long, [Cancelled({ id: 'a' })])
  await live([doer(done)], '1h')
  assert.deepEqual(done, ['done a', 'undone a'])
})

test('an action that waits in a backlog for longer than everything is remembered meets the tombstone of its undo', async (t) => {
  const done: string[] = []
  const live = lives(t)
  const relay = () => service('relay').on(Answered, { emits: [Asked] }, ({ id }) => Asked({ id }))
  await live([doer(done), relay()], '1h', [Cancelled({ id: 'a' })])
  await live([doer(done)], long, [Answered({ id: 'a' })])
  await live([doer(done), relay()], '1h')
  assert.deepEqual(done, [])
})

test('an undo at the end of a chain whose every link waits for long still undoes', async (t) => {
  const done: string[] = []
  const live = lives(t)
  const steps = [1, 2, 3].map((n) => event(`step.${n}`, { key: 'id', schema }))
  const links = steps.map((step, index) => {
    const next = steps[index + 1] ?? Cancelled
    return service(`link.${index}`).on(step, { emits: [next] }, ({ id }) => next({ id }))
  })
  await live([doer(done), ...links], '1h', [Asked({ id: 'a' })])
  await live([doer(done)], '8d', [steps[0]!({ id: 'a' })])
  for (const link of links) await live([doer(done), link], '8d')
  assert.deepEqual(done, ['done a', 'undone a'])
})

test('while something is parked that may lead to an undo, what that needs is not forgotten', async () => {
  const done: string[] = []
  const slow = service('slow').on(
    Answered,
    { emits: [Cancelled], retry: { base: '25d', max: '25d' } },
    ({ id }, { attempt }) => {
      if (attempt <= 2) throw new Error('down')
      return Cancelled({ id })
    },
  )
  await using w = await lenientWorld([doer(done), slow], { retention, seed: 3 })
  await w.publish([Asked({ id: 'a' }), Answered({ id: 'a' })])
  await w.advance('60d')
  assert.deepEqual(done, ['done a', 'undone a'])
})

test('while a deadline can not fire because its service is away, what it may lead to is not forgotten', async (t) => {
  const done: string[] = []
  const live = lives(t)
  const patient = () =>
    service('patient').deadline(Asked, { unless: [Answered], within: '5d', emits: [Cancelled] }, ({ id }) =>
      Cancelled({ id }),
    )
  await live([doer(done), patient()], '1h', [Asked({ id: 'a' })])
  await live([doer(done)], long)
  await live([doer(done), patient()], '1h')
  assert.deepEqual(done, ['done a', 'undone a'])
})

test('a dead undo that is redriven long afterwards still undoes, and a dead action that was undone is not done', async () => {
  const done: string[] = []
  let broken = true
  const act = (what: string) => {
    if (broken) throw new Error('down')
    done.push(what)
  }
  const fragile = service('fragile', { retry: { attempts: 1 } })
    .on(Asked, { name: 'one', undo: { on: [Cancelled], run: ({ id }) => act(`undone ${id}`) } }, ({ id }) => {
      done.push(`done ${id}`)
    })
    .on(Asked, { name: 'two', undo: { on: [Cancelled], run: () => {} } }, ({ id }) => act(`too late ${id}`))
  await using w = await lenientWorld([fragile], { retention })
  for (const one of [Asked, Cancelled]) {
    await w.publish(one({ id: 'a' }))
    await w.settled()
  }
  await w.advance(long)
  done.splice(1)
  broken = false
  assert.equal((await w.app.deadLetters.redrive({})).matched, 2)
  await w.settled()
  assert.deepEqual(done, ['done a', 'undone a'])
  await w.advance('30d')
  assert.equal(await fences(w.app.ledger, 'fragile'), 0)
})

test('the fence of a dead letter that is discarded is forgotten in its time', async () => {
  const fragile = service('fragile', { retry: { attempts: 1 } }).on(
    Asked,
    { undo: { on: [Cancelled], run: () => {} } },
    () => {
      throw new Error('wrong')
    },
  )
  await using w = await lenientWorld([fragile], { retention })
  await w.publish(Asked({ id: 'a' }))
  await w.advance(long)
  assert.equal(await fences(w.app.ledger, 'fragile'), 1)
  await w.app.deadLetters.discard({}, 'never mind')
  await w.advance('9d')
  assert.equal(await fences(w.app.ledger, 'fragile'), 1)
  await w.advance('30d')
  assert.equal(await fences(w.app.ledger, 'fragile'), 0)
})

test('when what had waited is done, forgetting goes on, also after restarts', async (t) => {
  const done: string[] = []
  const live = lives(t)
  await live([doer(done)], '1h', [Asked({ id: 'a' })])
  await live([bystander()], long, [Asked({ id: 'b' })])
  assert.equal(await live([doer(done), bystander()], '4d'), 2)
  assert.equal(await live([doer(done), bystander()], '4d'), 2)
  assert.equal(await live([doer(done), bystander()], '4d'), 0)
  assert.deepEqual(done, ['done a', 'done b'])
})

test('where something always waits, what is older than all of it is forgotten, the sooner the shorter chains may be', async () => {
  const left: number[] = []
  for (const maxHops of [10, 3]) {
    const stumbling = service('stumbling').on(Answered, { retry: { base: '20h', max: '20h' } }, (_, { attempt }) => {
      if (attempt === 1) throw new Error('down')
    })
    await using w = await lenientWorld([doer([]), stumbling], { retention, policy: { maxHops } })
    for (let day = 1; day <= 40; day++) {
      await w.publish([Asked({ id: `day ${day}` }), Answered({ id: `day ${day}` })])
      await w.advance('12h')
      await w.publish(Answered({ id: `noon ${day}` }))
      await w.advance('12h')
    }
    left.push(await fences(w.app.ledger, 'doer'))
  }
  const [long, short] = left as [number, number]
  assert.ok(short >= 10 && short < long && long < 40, `${short} and ${long} of 40 were left`)
})

test('a join whose last part does not come is forgotten in its time, and not before that while something waits', async () => {
  const joined: string[] = []
  let broken = true
  const oracle = service('oracle')
    .all([Asked, Answered], {}, ([{ id }]) => void joined.push(id))
    .on(Cancelled, { retry: { base: '1d', max: '1d', attempts: 99 } }, () => {
      if (broken) throw new Error('down')
    })
  const joins = () => w.app.ledger.count({ scope: 'oracle', kind: 'join' })
  await using w = await lenientWorld([oracle], { retention })
  await w.publish([Asked({ id: 'a' }), Asked({ id: 'b' }), Cancelled({ id: 'c' })])
  await w.advance(long)
  await w.publish(Answered({ id: 'a' }))
  await w.settled()
  assert.deepEqual(joined, ['a'])
  broken = false
  await w.advance('9d')
  assert.equal(await joins(), 2)
  await w.advance('9d')
  assert.equal(await joins(), 0)
})

test('a wait that is longer than half of the memory is refused, and one of exactly half is not', async () => {
  const waits = (within: '5d' | '432001s') => [
    service('patient').deadline(Asked, { unless: [Answered], within }, () => {}),
    service('joining').all([Asked, Answered], { within, late: () => {} }, () => {}),
  ]
  for (const one of waits('432001s'))
    await assert.rejects(start({ services: [one], retention }), (error) => isQuadrilleError(error, 'MEMORY_TOO_SHORT'))
  for (const one of waits('5d')) await (await lenientWorld([one], { retention })).app.stop()
})

const fences = (ledger: { count(query: { scope: string; kind: string }): Promise<number> }, scope: string) =>
  ledger.count({ scope, kind: 'fence' })
