/** Rows, returned events and progress commit together, or none of them does. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { service, type App, type Emitted, type ErrorCode } from 'quadrille'
import { world } from 'quadrille/testing'
import {
  Answered,
  Asked,
  Undone,
  db,
  effect,
  effects,
  effectTable,
  gate,
  lenientWorld,
  rows,
  effectWorld,
} from './setup.ts'

const oneTry = { retry: { attempts: 1 } } as const

test('a handler that writes a row, returns an event and then fails leaves nothing, until it succeeds', async () => {
  let broken = true
  const oracle = service('oracle', { db }).on(
    Asked,
    { emits: [Answered], retry: { attempts: 3 } },
    async (asked, c) => {
      effect(c.db, asked.id)
      await Promise.resolve()
      if (broken) throw new Error('no answer')
      return Answered(asked)
    },
  )
  await using w = await effectWorld([oracle])
  await w.publish(Asked({ id: '1' }))
  await w.settled()
  assert.deepEqual(await effects(w.app, oracle), {})
  w.neverSaw(Answered)
  const [reader] = (await w.app.health()).readers
  assert.equal(reader!.waiting, 1, 'the event is still there')
  broken = false
  await w.advance('1m')
  assert.deepEqual(await effects(w.app, oracle), { '1': 1 })
  assert.equal(w.saw(Answered).length, 1)
})

const wrongReturns: readonly [string, ErrorCode, () => unknown][] = [
  ['an event that it does not declare', 'EVENT_UNDECLARED', () => Undone({ id: '1' })],
  ['a value that no contract has made', 'EVENT_FOREIGN_VALUE', () => ({ type: 'answered', data: { id: '1' } })],
  ['a list with one foreign value', 'EVENT_FOREIGN_VALUE', () => [Answered({ id: '1' }), 'answered']],
  ['data that does not match the schema', 'EVENT_INVALID', () => Answered({ id: '1', n: 'many' } as never)],
  ['an event that is too large', 'EVENT_TOO_LARGE', () => Answered({ id: 'k', note: 'x'.repeat(2_000) })],
]

for (const [what, code, make] of wrongReturns) {
  test(`a handler that returns ${what} commits nothing and ends as a dead letter with ${code}`, async () => {
    const oracle = service('oracle', { db }).on(Asked, { emits: [Answered] }, (asked, c) => {
      effect(c.db, asked.id)
      return make() as Emitted<'answered', { id: string; n: number }>
    })
    await using w = await effectWorld([oracle], { eventBytesMax: 1_000 })
    await w.publish(Asked({ id: '1' }))
    await w.advance('10m')
    assert.deepEqual(await effects(w.app, oracle), {})
    w.neverSaw(Answered)
    w.neverSaw(Undone)
    const letters = await w.app.deadLetters.list()
    assert.deepEqual(
      letters.map((letter) => [letter.code, letter.attempts.length]),
      [[code, 1]],
      'a mistake in the code is not tried again',
    )
  })
}

test('transact() commits the rows and events of its work together', async () => {
  const oracle = service('oracle', { db }).on(Asked, () => {})
  await using w = await world([oracle])
  await effectTable(w.app, oracle)
  const token = await w.app.transact(oracle, (c) => {
    effect(c.db, 'asked')
    return [Asked({ id: '1' }), Asked({ id: '2' })]
  })
  assert.deepEqual(await effects(w.app, oracle), { asked: 1 })
  assert.deepEqual(
    token.events.map(({ key }) => key),
    ['1', '2'],
  )
  assert.equal(token.correlationId, token.events[0]!.id)
})

test('transact() leaves neither rows nor events when its work throws or returns something wrong', async () => {
  const oracle = service('oracle', { db }).on(Asked, () => {})
  await using w = await world([oracle], { eventBytesMax: 1_000 })
  await effectTable(w.app, oracle)
  const failing = (end: () => unknown) =>
    w.app.transact(oracle, async (c) => {
      effect(c.db, 'asked')
      await Promise.resolve()
      return end() as Emitted
    })
  await assert.rejects(
    failing(() => {
      throw new Error('changed my mind')
    }),
    /changed my mind/,
  )
  await assert.rejects(
    failing(() => 42),
    { code: 'EVENT_FOREIGN_VALUE' },
  )
  await assert.rejects(
    failing(() => [Asked({ id: '1' }), Asked({ id: '2', note: 'x'.repeat(2_000) })]),
    { code: 'EVENT_TOO_LARGE' },
  )
  assert.deepEqual(await effects(w.app, oracle), {})
  assert.equal(w.events.length, 0)
})

const nested: readonly [string, (app: App) => Promise<unknown>][] = [
  ['publish()', (app) => app.publish(Asked({ id: 'inner' }))],
  ['transact()', (app) => app.transact(app.services[0]!, () => Asked({ id: 'inner' }))],
  ['receive()', (app) => app.receive([new TextEncoder().encode('{}')])],
  ['a redrive', (app) => app.deadLetters.redrive({})],
  ['a discard', (app) => app.deadLetters.discard({}, 'because')],
]

for (const [operation, call] of nested) {
  test(`${operation} inside a handler or a transact() is refused instead of waiting for itself`, async () => {
    const oracle = service('oracle', { db }).on(Asked, oneTry, async () => void (await call(w.app)))
    await using w = await lenientWorld([oracle])
    await assert.rejects(
      w.app.transact(oracle, async () => void (await call(w.app))),
      { code: 'NESTED_TRANSACTION' },
    )
    await w.publish(Asked({ id: '1' }))
    await w.settled()
    const [letter] = await w.app.deadLetters.list()
    assert.equal(letter?.code, 'NESTED_TRANSACTION')
    assert.match(letter.message, /oracle/, 'it names the service whose handler it was')
    assert.equal(w.events.length, 1)
  })
}

test('a query that was not awaited can not slip past the end of its transaction', async () => {
  const late = gate<unknown>()
  const goOn = gate()
  const oracle = service('oracle', { db }).on(Asked, (asked, c) => {
    const handle = c.db
    void goOn.promise.then(() => {
      try {
        effect(handle, asked.id)
        late.open(null)
      } catch (error) {
        late.open(error)
      }
    })
  })
  await using w = await world([oracle])
  await effectTable(w.app, oracle)
  await w.publish(Asked({ id: '1' }))
  await w.settled()
  goOn.open()
  assert.equal(((await late.promise) as { code?: string } | null)?.code, 'HANDLE_CLOSED')
  assert.deepEqual(await effects(w.app, oracle), {})
})

test('a handler can not commit or roll back the transaction that it shares with others', async () => {
  const oracle = service('oracle', { db }).on(Asked, oneTry, (asked, c) => {
    effect(c.db, asked.id)
    if (asked.id === 'bad') c.db.exec('COMMIT')
  })
  await using w = await effectWorld([oracle])
  await w.publish([Asked({ id: 'good' }), Asked({ id: 'bad' })])
  await w.settled()
  assert.deepEqual(await effects(w.app, oracle), { good: 1 })
  assert.equal((await w.app.deadLetters.list())[0]?.code, 'TRANSACTION_CONTROL')
})

test('when one event of a batch fails, only that one is parked and the others commit exactly once', async () => {
  const oracle = service('oracle', { db }).on(Asked, { emits: [Answered] }, (asked, c) => {
    effect(c.db, asked.id)
    if (asked.id === 'k5') throw new Error('not this one')
    return Answered(asked)
  })
  await using w = await effectWorld([oracle])
  await w.publish(Array.from({ length: 10 }, (_, i) => Asked({ id: `k${i}` })))
  await w.settled()
  const expected = Array.from({ length: 10 }, (_, i) => `k${i}`).filter((id) => id !== 'k5')
  assert.deepEqual(await effects(w.app, oracle), Object.fromEntries(expected.map((id) => [id, 1])))
  assert.deepEqual(
    w.saw(Answered).map(({ id }) => id),
    expected,
  )
  assert.equal((await w.app.health()).readers[0]!.waiting, 1)
  assert.equal(w.errors.length, 1)
})

test('when 20 of 100 events of a batch fail, every good one is handled exactly once', async () => {
  let runs = 0
  const isBad = (id: string) => Number(id) % 5 === 0
  const oracle = service('oracle', { db }).on(Asked, { emits: [Answered], ...oneTry }, (asked, c) => {
    runs += 1
    effect(c.db, asked.id)
    if (isBad(asked.id)) throw new Error(`not ${asked.id}`)
    return Answered(asked)
  })
  await using w = await effectWorld([oracle])
  const ids = Array.from({ length: 100 }, (_, i) => String(i))
  await w.publish(ids.map((id) => Asked({ id })))
  await w.settled()
  const good = ids.filter((id) => !isBad(id))
  assert.deepEqual(await effects(w.app, oracle), Object.fromEntries(good.map((id) => [id, 1])))
  assert.deepEqual(
    w.saw(Answered).map(({ id }) => id),
    good,
  )
  assert.equal((await w.app.deadLetters.list({ code: 'Error' })).length, 20)
  assert.ok(runs < 500, `many failures must not cost the square of their number: ${runs} runs`)
})

test('a batch that fails for one event leaves no trace of the reactions of other events of the same key', async () => {
  let broken = true
  const oracle = service('oracle', { db })
    .on(Asked, { name: 'first' }, (asked, c) => effect(c.db, `first ${asked.n}`))
    .on(Asked, { name: 'second' }, (asked, c) => {
      effect(c.db, `second ${asked.n}`)
      if (broken && asked.n === 1) throw new Error('later')
    })
  await using w = await effectWorld([oracle])
  await w.publish([Asked({ id: 'k', n: 1 }), Asked({ id: 'k', n: 2 })])
  await w.settled()
  assert.deepEqual(await effects(w.app, oracle), { 'first 1': 1, 'first 2': 1 })
  broken = false
  await w.advance('1m')
  assert.deepEqual(await effects(w.app, oracle), { 'first 1': 1, 'first 2': 1, 'second 1': 1, 'second 2': 1 })
})

test('an event published twice with the same id has one effect', async () => {
  const oracle = service('oracle', { db }).on(Asked, { emits: [Answered] }, (asked, c) => {
    effect(c.db, asked.id)
    return Answered(asked)
  })
  await using w = await world([oracle])
  await effectTable(w.app, oracle)
  const first = await w.publish([Asked({ id: '1' }, { id: 'same' }), Asked({ id: '1' }, { id: 'same' })])
  await w.settled()
  const again = await w.publish(Asked({ id: '1' }, { id: 'same' }))
  await w.settled()
  assert.deepEqual(again.events, first.events.slice(0, 1))
  assert.deepEqual(await effects(w.app, oracle), { '1': 1 })
  assert.equal((await rows(w.app, oracle, 'SELECT 1 FROM effects')).length, 1)
  assert.equal(w.saw(Answered).length, 1)
})

const a = () => Answered({ id: '1' })
const foreign: readonly [value: unknown, told: string][] = [
  [Asked, 'the contract asked itself; call it, as in asked({ … })'],
  [[Promise.resolve(a())], 'a Promise; await it'],
  [[[a()]], 'a list inside of the list'],
  [[a], 'a function'],
  [5n, '5'],
  [{ type: 'asked' }, 'an object with type'],
]

test('what is no event is told apart: who was given it or returned it, and what it is', async () => {
  let value: unknown
  const oracle = service('oracle').on(
    Asked,
    { emits: [Answered] },
    () => value as Emitted<'answered', { id: string; n: number }>,
  )
  await using w = await lenientWorld([oracle])
  for (const [given, told] of foreign) {
    await assert.rejects(w.app.publish(given as Emitted), (error: Error) => {
      assert.ok(
        error.message.includes(`publish() was given something that is not an event: ${told}. Hand`),
        error.message,
      )
      return true
    })
    value = given
    await w.publish(Asked({ id: '1' }))
    await w.settled()
    const [letter] = await w.app.deadLetters.list()
    assert.ok(letter?.message.includes(`oracle/asked returned something that is not an event: ${told}. Return`), told)
    await w.app.deadLetters.discard({}, 'told')
  }
})
