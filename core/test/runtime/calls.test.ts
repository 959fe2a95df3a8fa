/** Calls to the outside: made before the transaction, asked again with the same key, their answers kept. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isQuadrilleError, service } from 'quadrille'
import {
  Answered,
  Asked,
  db,
  effect,
  effects,
  effectTable,
  fileWorld,
  gate,
  ledgerFile,
  lenientWorld,
  effectWorld,
} from './setup.ts'

test('a call whose outcome is unknown is made again with the same key, and its effect happens once', async () => {
  const charged = new Map<string, number>()
  const keys: string[] = []
  const payments = service('payments', { db }).on(
    Asked,
    {
      emits: [Answered],
      call: async ({ id }, { idempotencyKey }) => {
        keys.push(idempotencyKey)
        if (!charged.has(idempotencyKey)) {
          charged.set(idempotencyKey, charged.size + 1)
          if (id === 'lost') throw new Error('the connection was lost after the charge')
        }
        return { charge: charged.get(idempotencyKey)! }
      },
    },
    (asked, { result, db: handle }) => {
      effect(handle, asked.id)
      return Answered({ ...asked, n: result.charge })
    },
  )
  await using w = await effectWorld([payments])
  await w.publish([Asked({ id: 'lost' }), Asked({ id: 'fine' })])
  await w.advance('10m')
  assert.equal(charged.size, 2)
  assert.equal(keys.length, 3)
  assert.equal(new Set(keys).size, 2)
  assert.ok(
    w.events.filter(({ type }) => type === 'asked').every(({ id }) => keys.some((key) => key.endsWith(id))),
    'the key tells the event',
  )
  assert.deepEqual(await effects(w.app, payments), { fine: 1, lost: 1 })
  assert.deepEqual(w.saw(Answered, { id: 'lost' }), [{ id: 'lost', n: 1 }])
})

test('a negative answer is a result: the handler gets it, and nothing is retried', async () => {
  let calls = 0
  const payments = service('payments').on(
    Asked,
    { emits: [Answered], call: async () => ({ declined: true, times: (calls += 1) }) },
    (asked, { result }) => Answered({ ...asked, n: result.declined ? -1 : 1 }),
  )
  await using w = await lenientWorld([payments])
  await w.publish(Asked({ id: '1' }))
  await w.advance('10m')
  assert.equal(calls, 1)
  assert.deepEqual(w.saw(Answered), [{ id: '1', n: -1 }])
})

test('when the handler fails after its call, the answer is kept and the call is not made again', async () => {
  let calls = 0
  const results: unknown[] = []
  const payments = service('payments').on(
    Asked,
    { call: () => ({ times: (calls += 1) }), retry: { attempts: 3 } },
    (_, { result, attempt }) => {
      results.push(result)
      if (attempt < 3) throw new Error('not yet')
    },
  )
  await using w = await lenientWorld([payments])
  await w.publish(Asked({ id: '1' }))
  await w.advance('10m')
  assert.equal(calls, 1)
  assert.deepEqual(new Set(results.map((result) => JSON.stringify(result))), new Set(['{"times":1}']))
})

test('an answer of nothing is an answer, and is kept too', async () => {
  let calls = 0
  const payments = service('payments').on(Asked, { call: () => void (calls += 1) }, (_, { result, attempt }) => {
    assert.equal(result, undefined)
    if (attempt < 3) throw new Error('not yet')
  })
  await using w = await lenientWorld([payments])
  await w.publish(Asked({ id: '1' }))
  await w.advance('10m')
  assert.equal(calls, 1)
})

test('an answer is also kept across a redrive of the dead letter', async () => {
  let calls = 0
  let broken = true
  const payments = service('payments').on(Asked, { call: () => (calls += 1), retry: { attempts: 1 } }, () => {
    if (broken) throw new Error('not yet')
  })
  await using w = await lenientWorld([payments])
  await w.publish(Asked({ id: '1' }))
  await w.settled()
  broken = false
  await w.app.deadLetters.redrive({})
  await w.settled()
  assert.deepEqual(await w.app.deadLetters.list(), [])
  assert.equal(calls, 1)
})

test('a call that takes too long has its signal aborted, counts as unanswered, and is made again', async () => {
  const signals: AbortSignal[] = []
  const begun = gate()
  const payments = service('payments').on(
    Asked,
    {
      callTimeout: '5s',
      call: async (_, { signal }) => {
        signals.push(signal)
        if (signals.length > 1) return 'at last'
        begun.open()
        return new Promise<string>(() => {})
      },
      emits: [Answered],
    },
    (asked, { result }) => Answered({ ...asked, n: result.length }),
  )
  const outcomes: string[] = []
  await using w = await lenientWorld([payments], { hooks: { call: ({ outcome }) => void outcomes.push(outcome) } })
  await w.publish(Asked({ id: '1' }))
  await begun.promise
  await w.env.advance(4_999)
  assert.equal(signals[0]!.aborted, false)
  await w.env.advance(1)
  await w.settled()
  assert.equal(signals[0]!.aborted, true)
  assert.ok(isQuadrilleError(w.errors[0]!.error, 'CALL_TIMED_OUT'))
  await w.advance('1m')
  assert.deepEqual(w.saw(Answered), [{ id: '1', n: 7 }])
  assert.equal(signals[1]!.aborted, false)
  assert.deepEqual(outcomes, ['unknown', 'answered'])
})

test('a call that throws at once leaves nothing behind that could fail later', async (t) => {
  const unhandled: unknown[] = []
  const note = (reason: unknown) => void unhandled.push(reason)
  process.on('unhandledRejection', note)
  t.after(() => process.off('unhandledRejection', note))
  const payments = service('payments').on(
    Asked,
    {
      callTimeout: '5s',
      retry: { attempts: 2 },
      call: (): string => {
        throw new Error('at once')
      },
    },
    () => {},
  )
  const w = await lenientWorld([payments])
  await w.publish(Asked({ id: '1' }))
  await w.advance('10m')
  await w.stop()
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(unhandled, [])
})

test('the handler gets the answer as JSON carries it, on the first try as on every other', async () => {
  const results: unknown[] = []
  const payments = service('payments').on(
    Asked,
    { call: () => ({ at: 0, nothing: undefined, list: [1, null] }) },
    (_, { result, attempt }) => {
      results.push(result)
      if (attempt === 1) throw new Error('again')
    },
  )
  await using w = await lenientWorld([payments])
  await w.publish(Asked({ id: '1' }))
  await w.advance('10m')
  for (const result of results) assert.deepEqual(result, { at: 0, list: [1, null] })
})

const circle: { self?: unknown } = {}
circle.self = circle

for (const [what, value, told] of [
  ['a bigint', 1n, 'a bigint'],
  ['a function', () => 1, 'a function'],
  ['a response', new Response('', { status: 402 }), 'a Response'],
  ['a Map', new Map([['a', 1]]), 'a Map'],
  ['a Date', { charged: { at: new Date(0) } }, 'charged.at is a Date'],
  ['an object with toJSON', { list: [{ toJSON: () => 1 }] }, 'list.0 is an object with toJSON'],
  ['a list with a hole', { list: [1, undefined] }, 'list.1 is undefined'],
  ['no number', { amount: NaN }, 'amount is NaN'],
  ['a circle', circle, 'it is more than 100 levels deep, or a circle'],
] as const) {
  test(`a call that returns ${what} is a mistake in the code: CALL_RESULT_NOT_JSON, and no retry`, async () => {
    let calls = 0
    const call = () => {
      calls += 1
      return value
    }
    await using w = await lenientWorld([service('payments').on(Asked, { call }, () => {})])
    await w.publish(Asked({ id: '1' }))
    await w.advance('10m')
    assert.equal(calls, 1)
    const [letter] = await w.app.deadLetters.list()
    assert.equal(letter?.code, 'CALL_RESULT_NOT_JSON')
    assert.ok(letter.message.includes(` as it is: ${told}. `), letter.message)
  })
}

test('no more calls are under way than the concurrency allows, and every one gets its turn', async () => {
  let under = 0
  let most = 0
  const called: string[] = []
  const payments = service('payments', { db }).on(
    Asked,
    {
      concurrency: 2,
      call: async ({ id }) => {
        under += 1
        most = Math.max(most, under)
        called.push(id)
        await new Promise((resolve) => setImmediate(resolve))
        under -= 1
        return id
      },
    },
    (_, { result, db: handle }) => effect(handle, result),
  )
  await using w = await effectWorld([payments])
  await w.publish(Array.from({ length: 100 }, (_, i) => Asked({ id: `k${i}` })))
  await w.settled()
  assert.equal(most, 2)
  assert.equal(called.length, 100)
  assert.equal(new Set(called).size, 100)
  const all = await effects(w.app, payments)
  assert.equal(Object.keys(all).length, 100)
  assert.ok(Object.values(all).every((times) => times === 1))
})

test('calls are made concurrently, and one that hangs holds up no other key', async () => {
  const hanging = gate<string>()
  const payments = service('payments').on(
    Asked,
    { emits: [Answered], call: async ({ id }) => (id === 'slow' ? hanging.promise : id) },
    (asked) => Answered(asked),
  )
  const answered = gate()
  await using w = await lenientWorld([payments], {
    hooks: { appended: ({ events }) => void (events.some(({ key }) => key === 'z') && answered.open()) },
  })
  await w.publish([Asked({ id: 'slow' }), Asked({ id: 'a' }), Asked({ id: 'slow', n: 2 }), Asked({ id: 'z' })])
  await answered.promise
  await new Promise<void>((resolve) => {
    const look = () =>
      w.events.filter(({ type }) => type === 'answered').length === 2 ? resolve() : setImmediate(look)
    look()
  })
  hanging.open('done')
  await w.settled()
  assert.deepEqual(
    w.saw(Answered).map(({ id, n }) => `${id}${n}`),
    ['a0', 'z0', 'slow0', 'slow2'],
  )
})

test('a call that was under way when its app ended is made again by the next one, with the same key', async (t) => {
  const path = ledgerFile(t)
  const keys: string[] = []
  const begun = gate()
  const payments = (answer: () => Promise<string>) =>
    service('payments', { db }).on(
      Asked,
      {
        call: (_, { idempotencyKey }) => {
          keys.push(idempotencyKey)
          begun.open()
          return answer()
        },
      },
      ({ id }, { db: handle }) => effect(handle, id),
    )
  {
    const first = payments(() => new Promise(() => {}))
    await using w = await fileWorld(path, [first])
    await effectTable(w.app, first)
    await w.publish(Asked({ id: '1' }))
    await begun.promise
  }
  const second = payments(async () => 'answer')
  await using w = await fileWorld(path, [second])
  await w.advance('10m')
  assert.deepEqual(await effects(w.app, second), { '1': 1 })
  assert.equal(keys.length, 2)
  assert.equal(keys[0], keys[1])
  assert.deepEqual(w.errors, [], 'the abort is no attempt')
})
