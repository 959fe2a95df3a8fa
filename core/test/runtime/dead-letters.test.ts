/** Dead letters can be looked at, put back (one, some, all, slowly, or only for show) and discarded with a reason. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NonRetryable, service } from 'quadrille'
import type { World } from 'quadrille/testing'
import { Answered, Asked, lenientWorld } from './setup.ts'

class Refused extends Error {
  override readonly name = 'Refused'
}

/** Two services with dead letters of several kinds, and a switch that makes all well. */
async function someLetters(): Promise<{ w: World; heal: () => void; handled: string[]; times: number[] }> {
  let broken = true
  const handled: string[] = []
  const times: number[] = []
  const retry = { attempts: 1 }
  const done = (what: string) => {
    handled.push(what)
    times.push(w.env.now())
  }
  const oracle = service('oracle', { retry })
    .on(Asked, { name: 'ask' }, ({ id }) => {
      if (broken && id !== 'c') throw id === 'a' ? new Refused('no') : new Error('down')
      done(`ask ${id}`)
    })
    .on(Answered, { name: 'answer' }, ({ id }) => {
      if (broken) throw new NonRetryable('never')
      done(`answer ${id}`)
    })
  const clerk = service('clerk', { retry }).on(Asked, { name: 'file' }, ({ id }) => {
    if (broken && id === 'a') throw new Error('full')
    done(`file ${id}`)
  })
  const w = await lenientWorld([oracle, clerk])
  await w.publish([Asked({ id: 'a' }), Asked({ id: 'b' }), Asked({ id: 'c' }), Answered({ id: 'a' })])
  await w.settled()
  handled.length = times.length = 0
  return { w, heal: () => void (broken = false), handled, times }
}

test('dead letters are listed oldest first, filtered, limited, shown and counted in groups', async () => {
  const { w } = await someLetters()
  await using _ = w
  const { deadLetters } = w.app
  const all = await deadLetters.list()
  assert.equal(all.length, 4)
  assert.deepEqual(
    all.map(({ at }) => at.getTime()),
    all.map(({ at }) => at.getTime()).sort(),
  )
  const count = async (filter: Parameters<typeof deadLetters.list>[0]) => (await deadLetters.list(filter)).length
  assert.equal(await count({ service: 'oracle' }), 3)
  assert.equal(await count({ reaction: 'file' }), 1)
  assert.equal(await count({ type: 'answered' }), 1)
  assert.equal(await count({ key: 'a' }), 3)
  assert.equal(await count({ code: 'Refused' }), 1)
  assert.equal(await count({ code: 'Refused', key: 'b' }), 0)
  assert.equal(await count({ limit: 2 }), 2)
  const one = all[1]!
  assert.equal(await count({ id: one.id }), 1)
  assert.deepEqual(await deadLetters.show(one.id), one)
  await assert.rejects(deadLetters.show('nothing'), { code: 'DEAD_LETTER_UNKNOWN' })
  const groups = await deadLetters.groups()
  assert.deepEqual(groups.map(({ service: name, reaction, code, count: n }) => `${name} ${reaction} ${code} ${n}`).sort(), [
    'clerk file Error 1',
    'oracle answer NonRetryable 1',
    'oracle ask Error 1',
    'oracle ask Refused 1',
  ]) // prettier-ignore
  assert.equal((await w.app.health()).ok, false)
})

test('one letter can be redriven, and only it runs again', async () => {
  const { w, heal, handled } = await someLetters()
  await using _ = w
  heal()
  const [letter] = await w.app.deadLetters.list({ code: 'Refused' })
  assert.deepEqual(await w.app.deadLetters.redrive({ id: letter!.id }), { matched: 1, ids: [letter!.id] })
  await w.settled()
  assert.deepEqual(handled, ['ask a'])
  assert.equal((await w.app.deadLetters.list()).length, 3)
  assert.deepEqual(await w.app.deadLetters.redrive({ id: letter!.id }), { matched: 0, ids: [] })
})

test('letters can be redriven by filter, and all of them', async () => {
  const { w, heal, handled } = await someLetters()
  await using _ = w
  heal()
  assert.equal((await w.app.deadLetters.redrive({ service: 'oracle', type: 'asked' })).matched, 2)
  await w.settled()
  assert.deepEqual(handled.sort(), ['ask a', 'ask b'])
  assert.equal((await w.app.deadLetters.redrive({})).matched, 2)
  await w.settled()
  assert.deepEqual(handled.sort(), ['answer a', 'ask a', 'ask b', 'file a'])
  assert.deepEqual(await w.app.deadLetters.list(), [])
  assert.equal((await w.app.health()).ok, true)
})

test('a redrive with a rate spaces the letters out', async () => {
  const { w, heal, times } = await someLetters()
  await using _ = w
  heal()
  const startMs = w.env.now()
  await w.app.deadLetters.redrive({}, { rate: 0.5 })
  await w.advance('1m')
  assert.deepEqual(
    times.map((at) => at - startMs),
    [0, 2_000, 4_000, 6_000],
  )
  await assert.rejects(w.app.deadLetters.redrive({}, { rate: 0 }), { code: 'OPTION_INVALID' })
})

test('a dry run says what would be redriven and changes nothing', async () => {
  const { w, heal, handled } = await someLetters()
  await using _ = w
  heal()
  const before = await w.app.deadLetters.list()
  const found = await w.app.deadLetters.redrive({ key: 'a' }, { dryRun: true })
  assert.equal(found.matched, 3)
  assert.deepEqual([...found.ids].sort(), before.filter(({ event }) => event!.key === 'a').map(({ id }) => id).sort()) // prettier-ignore
  await w.advance('1h')
  assert.deepEqual(handled, [])
  assert.deepEqual(await w.app.deadLetters.list(), before)
})

test('a letter counts its redrives, and begins again with its attempts', async () => {
  const attempts: number[] = []
  const keys = new Set<string>()
  const oracle = service('oracle').on(Asked, { retry: { attempts: 2 } }, (_, { attempt, idempotencyKey }) => {
    attempts.push(attempt)
    keys.add(idempotencyKey)
    throw new Error('never')
  })
  await using w = await lenientWorld([oracle])
  await w.publish(Asked({ id: '1' }))
  for (const redrives of [0, 1, 2]) {
    await w.advance('1h')
    const [letter] = await w.app.deadLetters.list()
    assert.equal(letter!.redrives, redrives)
    assert.equal(letter!.attempts.length, 2)
    await w.app.deadLetters.redrive({})
  }
  assert.deepEqual(attempts, [1, 2, 1, 2, 1, 2])
  assert.equal(keys.size, 1, 'the idempotency key stays the same on every retry and redrive')
})

test('discarding needs a reason, which is kept with the conversation', async () => {
  const { w } = await someLetters()
  await using _ = w
  for (const reason of ['', '  '])
    await assert.rejects(w.app.deadLetters.discard({ key: 'a' }, reason), { code: 'DISCARD_REASON_NEEDED' })
  assert.equal((await w.app.deadLetters.list()).length, 4)
  const [letter] = await w.app.deadLetters.list({ code: 'Refused' })
  assert.deepEqual(await w.app.deadLetters.discard({ id: letter!.id }, 'a test order'), { matched: 1 })
  assert.equal((await w.app.deadLetters.list()).length, 3)
  const { notes } = await w.app.flow(letter!.event!.correlationId)
  assert.deepEqual(
    notes.filter(({ kind }) => kind === 'discarded').map(({ text, reaction }) => [reaction, text]),
    [['ask', 'a test order']],
  )
})

test('a dead letter holds the exact bytes of the payload', async () => {
  const oracle = service('oracle').on(Asked, { retry: { attempts: 1 } }, () => {
    throw new Error('never')
  })
  await using w = await lenientWorld([oracle])
  await w.publish(Asked({ id: 'ü€😀', n: 0.1 }))
  await w.settled()
  const [letter] = await w.app.deadLetters.list()
  assert.equal(new TextDecoder().decode(letter!.bytes), '{"id":"ü€😀","n":0.1}')
})

test('what was thrown and is no Error is told by its code and message, or as it is', async () => {
  const circle: { self?: unknown } = {}
  circle.self = circle
  const thrown: readonly [unknown, code: string, message: string][] = [
    [{ code: 42, message: 'no funds' }, '42', 'no funds'],
    [{ name: 'Gone', message: 'sold' }, 'Gone', 'sold'],
    [{ reason: 'full' }, 'object', '{"reason":"full"}'],
    [circle, 'object', 'an object'],
    ['plainly', 'string', 'plainly'],
    [null, 'object', 'null'],
    [new DOMException('late', 'TimeoutError'), 'TimeoutError', 'late'],
  ]
  const oracle = service('oracle').on(Asked, { retry: { attempts: 1 } }, ({ n }) => {
    throw thrown[n!]![0]
  })
  await using w = await lenientWorld([oracle])
  for (const n of thrown.keys()) await w.publish(Asked({ id: String(n), n }))
  await w.settled()
  const letters = (await w.app.deadLetters.list()).toSorted((a, b) => Number(a.event!.key) - Number(b.event!.key))
  assert.deepEqual(
    letters.map(({ code, message }) => [code, message]),
    thrown.map(([, code, message]) => [code, message]),
  )
})
