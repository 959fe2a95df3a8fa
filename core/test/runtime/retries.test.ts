/** A failing event is tried again with exponential backoff and full jitter, and holds up only its own key in its own reaction. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NonRetryable, service } from 'quadrille'
import { Answered, Asked, db, effect, effects, lenientWorld, effectWorld } from './setup.ts'

class Refused extends Error {
  override readonly name = 'Refused'
  readonly code = 'E_REFUSED'
}

test('the waits between tries follow the exponential backoff, anywhere between nothing and all of it', async () => {
  const shares: number[][] = [[], [], [], []]
  const oracle = service('oracle').on(Asked, { retry: { attempts: 5, base: 1_000, factor: 3, max: 5_000 } }, () => {
    throw new Error('never')
  })
  await using w = await lenientWorld([oracle], {
    hooks: {
      failed: ({ attempt, retryAt }) => {
        const longestMs = [1_000, 3_000, 5_000, 5_000][attempt - 1]!
        shares[attempt - 1]!.push((retryAt! - w.env.now()) / longestMs)
      },
    },
  })
  await w.publish(Array.from({ length: 200 }, (_, i) => Asked({ id: `k${i}` })))
  await w.advance('1m')
  for (const [index, list] of shares.entries()) {
    assert.equal(list.length, 200, `wait ${index + 1}`)
    assert.ok(Math.max(...list) <= 1 && Math.min(...list) >= 0)
    const mean = list.reduce((sum, share) => sum + share, 0) / list.length
    assert.ok(mean > 0.4 && mean < 0.6, `wait ${index + 1} is on average half of the backoff: ${mean}`)
    assert.ok(Math.max(...list) > 0.9 && Math.min(...list) < 0.1, 'the jitter is full')
  }
  assert.equal((await w.app.deadLetters.list({ limit: 1_000 })).length, 200)
})

test('a retry happens when its wait is over, and not before', async () => {
  const runs: number[] = []
  const oracle = service('oracle').on(Asked, { retry: { attempts: 4, base: '10s', factor: 2 } }, () => {
    runs.push(w.env.now())
    throw new Error('never')
  })
  const due: number[] = []
  await using w = await lenientWorld([oracle], { hooks: { failed: ({ retryAt }) => void due.push(retryAt!) } })
  await w.publish(Asked({ id: '1' }))
  await w.advance('10m')
  assert.deepEqual(runs.slice(1), due)
})

test('attempts are counted for each event, and the handler is told which one it is', async () => {
  const attempts: Record<string, number[]> = { a: [], b: [] }
  const oracle = service('oracle').on(Asked, { retry: { attempts: 3 } }, ({ id }, { attempt }) => {
    attempts[id]!.push(attempt)
    if (id === 'a' || attempt < 2) throw new Error('again')
  })
  await using w = await lenientWorld([oracle])
  await w.publish([Asked({ id: 'a' }), Asked({ id: 'b' })])
  await w.advance('10m')
  assert.deepEqual(new Set(attempts['a']), new Set([1, 2, 3]))
  assert.deepEqual(new Set(attempts['b']), new Set([1, 2]))
  const [letter] = await w.app.deadLetters.list()
  assert.equal(letter?.event?.key, 'a')
  assert.equal(letter.attempts.length, 3)
})

test('a policy of many attempts ends after exactly so many, with the last of them kept', async () => {
  const oracle = service('oracle').on(Asked, { retry: { attempts: 30, base: 10, max: 10 } }, () => {
    throw new Error('never')
  })
  await using w = await lenientWorld([oracle])
  await w.publish(Asked({ id: '1' }))
  await w.advance('1m')
  assert.equal(w.errors.length, 30)
  assert.equal(w.errors.at(-1)?.attempt, 30)
  const [letter] = await w.app.deadLetters.list()
  assert.equal(letter?.attempts.length, 20)
})

test('an error can be named to go to the dead letters at once, or to be tried otherwise', async () => {
  const errors = { E_REFUSED: 'dead', TypeError: { attempts: 2, base: 0 } } as const
  const oracle = service('oracle').on(Asked, { errors, retry: { attempts: 4 } }, ({ id }) => {
    if (id === 'refused') throw new Refused('no')
    if (id === 'typo') throw new TypeError('x is not a function')
    throw new Error('down')
  })
  await using w = await lenientWorld([oracle])
  await w.publish([Asked({ id: 'refused' }), Asked({ id: 'typo' }), Asked({ id: 'down' })])
  await w.advance('10m')
  const letters = await w.app.deadLetters.list()
  const attempts = Object.fromEntries(letters.map((letter) => [letter.event!.key, letter.attempts.length]))
  assert.deepEqual(attempts, { refused: 1, typo: 2, down: 4 })
  assert.deepEqual(letters.map((letter) => letter.code).sort(), ['E_REFUSED', 'Error', 'TypeError'])
})

test('NonRetryable goes to the dead letters at once, from the handler and from the call', async () => {
  const hopeless = () => {
    throw new NonRetryable('malformed')
  }
  const oracle = service('oracle')
    .on(Asked, { name: 'handler' }, hopeless)
    .on(Asked, { name: 'call', call: hopeless }, () => {})
  await using w = await lenientWorld([oracle])
  await w.publish(Asked({ id: '1' }))
  await w.settled()
  const letters = await w.app.deadLetters.list()
  assert.deepEqual(letters.map(({ reaction, code, attempts }) => [reaction, code, attempts.length]).sort(), [
    ['call', 'NonRetryable', 1],
    ['handler', 'NonRetryable', 1],
  ])
})

test('later events of the key wait behind a failing one and then run in order; other keys and reactions go on', async () => {
  let broken = true
  const order: string[] = []
  const runs: Record<string, number> = {}
  const oracle = service('oracle', { db })
    .on(Asked, { name: 'shaky', retry: { base: 1_000 } }, ({ id, n }, c) => {
      runs[`shaky ${id}${n}`] = (runs[`shaky ${id}${n}`] ?? 0) + 1
      if (broken && id === 'a' && n === 1) throw new Error('down')
      effect(c.db, `shaky ${id}${n}`)
      order.push(`${id}${n}`)
    })
    .on(Asked, { name: 'steady' }, ({ id, n }, c) => effect(c.db, `steady ${id}${n}`))
  await using w = await effectWorld([oracle])
  for (const n of [1, 2, 3]) await w.publish([Asked({ id: 'a', n }), Asked({ id: 'b', n })])
  await w.settled()
  assert.deepEqual(Object.keys(await effects(w.app, oracle)), [
    'shaky b1', 'shaky b2', 'shaky b3',
    'steady a1', 'steady a2', 'steady a3', 'steady b1', 'steady b2', 'steady b3',
  ]) // prettier-ignore
  assert.equal(runs['shaky a2'], undefined, 'it waits its turn')
  await w.advance(w.env.nextTimerAt() - w.env.now())
  broken = false
  order.length = 0
  await w.publish(Asked({ id: 'a', n: 4 }))
  await w.advance('1m')
  assert.deepEqual(order, ['a1', 'a2', 'a3', 'a4'])
  const all = await effects(w.app, oracle)
  assert.ok(
    Object.values(all).every((times) => times === 1),
    JSON.stringify(all),
  )
  assert.equal(Object.keys(all).length, 14)
})

test('one event fails twice in one of three reactions: executions are 1, 3 and 1', async () => {
  const runs = { first: 0, second: 0, third: 0 }
  const oracle = service('oracle', { db })
    .on(Asked, { name: 'first' }, (_, c) => effect(c.db, 'first'))
    .on(Asked, { name: 'second', call: () => void (runs.second += 1) }, (_, c) => {
      if (c.attempt < 3) throw new Error('again')
      effect(c.db, 'second')
    })
    .on(Asked, { name: 'third' }, (_, c) => effect(c.db, 'third'))
  const handled: string[] = []
  await using w = await effectWorld([oracle], {
    hooks: { handled: ({ reaction, attempt }) => void handled.push(`${reaction} ${attempt}`) },
  })
  await w.publish(Asked({ id: '1' }))
  await w.advance('10m')
  assert.deepEqual(handled, ['first 1', 'third 1', 'second 3'])
  assert.deepEqual(await effects(w.app, oracle), { first: 1, second: 1, third: 1 })
  assert.equal(runs.second, 1, 'the call was not repeated for the failures of the handler')
})

test('after the last attempt the key goes on, in order', async () => {
  const order: number[] = []
  const oracle = service('oracle').on(Asked, { retry: { attempts: 2 }, emits: [Answered] }, (asked) => {
    if (asked.n === 1) throw new Error('never')
    order.push(asked.n)
    return Answered(asked)
  })
  await using w = await lenientWorld([oracle])
  await w.publish([1, 2, 3].map((n) => Asked({ id: 'a', n })))
  await w.settled()
  assert.deepEqual(order, [])
  await w.advance('10m')
  assert.deepEqual(order, [2, 3])
  assert.deepEqual(
    (await w.app.deadLetters.list()).map((letter) => [letter.event!.data, letter.holds]),
    [['{"id":"a","n":1}', false]],
  )
  assert.equal((await w.app.health()).readers[0]!.waiting, 0)
})

test("with onDead 'hold' the key waits until the letter is redriven, and is then released in order", async () => {
  let broken = true
  const order: string[] = []
  const oracle = service('oracle').on(Asked, { retry: { attempts: 2 }, onDead: 'hold' }, ({ id, n }) => {
    if (broken && id === 'a' && n === 1) throw new Error('down')
    order.push(`${id}${n}`)
  })
  await using w = await lenientWorld([oracle])
  await w.publish([Asked({ id: 'a', n: 1 }), Asked({ id: 'a', n: 2 }), Asked({ id: 'b', n: 1 })])
  await w.advance('10m')
  await w.publish(Asked({ id: 'a', n: 3 }))
  await w.advance('1h')
  assert.deepEqual(order, ['b1'])
  const [letter] = await w.app.deadLetters.list()
  assert.equal(letter?.holds, true)
  broken = false
  assert.equal((await w.app.deadLetters.redrive({ id: letter.id })).matched, 1)
  await w.settled()
  assert.deepEqual(order, ['b1', 'a1', 'a2', 'a3'])
  assert.deepEqual(await w.app.deadLetters.list(), [])
  assert.equal((await w.app.health()).readers[0]!.waiting, 0)
})

test("with onDead 'hold' a discard releases the key, in order", async () => {
  const order: number[] = []
  const oracle = service('oracle').on(Asked, { retry: { attempts: 1 }, onDead: 'hold' }, ({ n }) => {
    if (n === 1) throw new Error('down')
    order.push(n)
  })
  await using w = await lenientWorld([oracle])
  await w.publish([1, 2, 3].map((n) => Asked({ id: 'a', n })))
  await w.settled()
  assert.deepEqual(order, [])
  await w.app.deadLetters.discard({ key: 'a' }, 'a test order')
  await w.settled()
  assert.deepEqual(order, [2, 3])
})

test('several held letters of one key are redriven one by one, each handled once', async () => {
  let broken = true
  const order: number[] = []
  const oracle = service('oracle').on(
    Asked,
    {
      onDead: 'hold',
      filter: () => {
        if (broken) throw new Error('the filter is broken')
        return true
      },
      retry: { attempts: 1 },
    },
    ({ n }) => void order.push(n),
  )
  await using w = await lenientWorld([oracle])
  await w.publish([1, 2, 3].map((n) => Asked({ id: 'a', n })))
  await w.settled()
  const letters = await w.app.deadLetters.list()
  broken = false
  for (const letter of letters) {
    await w.app.deadLetters.redrive({ id: letter.id })
    await w.settled()
  }
  assert.deepEqual(order, [1, 2, 3])
  assert.deepEqual(await w.app.deadLetters.list(), [])
})

test('after a redrive the order of the key holds as before', async () => {
  const broken = new Set([1])
  const order: number[] = []
  const oracle = service('oracle').on(Asked, { retry: { attempts: 2, base: 1_000 } }, ({ n }) => {
    if (broken.has(n)) throw new Error('down')
    order.push(n)
  })
  await using w = await lenientWorld([oracle])
  await w.publish(Asked({ id: 'a', n: 1 }))
  await w.advance('10m')
  broken.clear()
  await w.app.deadLetters.redrive({})
  await w.settled()
  broken.add(2)
  await w.publish(Asked({ id: 'a', n: 2 }))
  await w.settled()
  await w.publish(Asked({ id: 'a', n: 3 }))
  await w.settled()
  assert.deepEqual(order, [1], 'the third waits behind the second')
  broken.clear()
  await w.advance('10m')
  assert.deepEqual(order, [1, 2, 3])
})

test('two letters of one key that are redriven together release whatever waits behind them', async () => {
  let broken = true
  const order: number[] = []
  const oracle = service('oracle').on(Asked, { retry: { attempts: 1 } }, ({ n }) => {
    if (broken && n < 4) throw new Error('down')
    order.push(n)
  })
  await using w = await lenientWorld([oracle])
  await w.publish([1, 2, 3].map((n) => Asked({ id: 'a', n })))
  await w.settled()
  broken = false
  await w.app.deadLetters.redrive({})
  await w.publish(Asked({ id: 'a', n: 4 }))
  await w.settled()
  assert.deepEqual(order, [1, 2, 3, 4])
  assert.equal((await w.app.health()).readers[0]!.waiting, 0)
})

test('a dead letter keeps the history of its errors: name, code, message, stack and time', async () => {
  const oracle = service('oracle').on(Asked, { retry: { attempts: 2, base: '10s' } }, (_, { attempt }) => {
    if (attempt === 1) throw new Refused('come back later')
    // eslint-disable-next-line no-throw-literal
    throw 'just a text'
  })
  await using w = await lenientWorld([oracle])
  const startMs = w.env.now()
  await w.publish(Asked({ id: '1' }))
  await w.advance('1m')
  const [letter] = await w.app.deadLetters.list()
  const [first, second] = letter!.attempts
  assert.equal(first?.name, 'Refused')
  assert.equal(first.code, 'E_REFUSED')
  assert.equal(first.message, 'come back later')
  assert.match(first.stack!, /retries\.test\.ts/)
  assert.equal(first.at.getTime(), startMs)
  assert.deepEqual({ ...second, at: 0 }, { at: 0, name: 'string', code: null, message: 'just a text', stack: null })
  assert.ok(second!.at.getTime() > startMs)
  assert.equal(letter!.message, 'just a text')
})
