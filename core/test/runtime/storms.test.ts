/** Storms end: by hops, by the budget of a conversation, and with the cycle shown. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { event, isQuadrilleError, service } from 'quadrille'
import { Answered, Asked, Cancelled, Undone, db, effect, effects, lenientWorld, schema, effectWorld } from './setup.ts'

const circle = (policy: { maxHops?: number }) => [
  service('a', policy).on(Cancelled, { emits: [Asked] }, ({ id }) => Asked({ id })),
  service('b', policy).on(Asked, { emits: [Answered] }, ({ id }) => Answered({ id })),
  service('c', policy).on(Answered, { emits: [Cancelled] }, ({ id }) => Cancelled({ id })),
]

test('a cycle of reactions stops at maxHops, as a dead letter that shows the cycle', async () => {
  await using w = await lenientWorld(circle({ maxHops: 6 }))
  await w.publish(Asked({ id: 'k' }))
  await w.settled()
  assert.deepEqual(
    w.events.map(({ hops }) => hops),
    [0, 1, 2, 3, 4, 5, 6, 7],
  )
  const [letter, ...others] = await w.app.deadLetters.list()
  assert.deepEqual(others, [])
  assert.equal(letter!.code, 'HOPS_EXCEEDED')
  assert.equal(letter!.attempts.length, 1)
  assert.match(letter!.message, /asked -> answered -> cancelled -> asked -> answered -> cancelled -> asked -> answered/)
})

test('the limit of hops is 25 where nothing is said', async () => {
  await using w = await lenientWorld(circle({}))
  await w.publish(Asked({ id: 'k' }))
  await w.settled()
  assert.equal(w.events.length, 27)
  assert.equal((await w.app.deadLetters.list())[0]?.code, 'HOPS_EXCEEDED')
})

test('retries are no hops', async () => {
  const oracle = service('oracle', { maxHops: 1, retry: { attempts: 10, base: 10 } })
    .on(Asked, { emits: [Answered] }, (asked, { attempt }) => {
      if (attempt < 9) throw new Error('down')
      return Answered(asked)
    })
    .on(Answered, () => {})
  await using w = await lenientWorld([oracle])
  await w.publish(Asked({ id: 'k' }))
  await w.advance('10m')
  assert.equal(w.saw(Answered).length, 1)
  assert.deepEqual(w.events.map(({ hops }) => hops), [0, 1]) // prettier-ignore
  assert.deepEqual(await w.app.deadLetters.list(), [])
})

test('a conversation that grows past its budget is stopped, and other conversations go on', async () => {
  const breeder = service('breeder', { maxHops: 1_000 }).on(Asked, { emits: [Asked] }, ({ id, n }) =>
    id.startsWith('calm') ? [] : [Asked({ id, n: n + 1 }), Asked({ id, n: n + 1 })],
  )
  await using w = await lenientWorld([breeder], { conversationEventsMax: 100 })
  const storm = await w.publish(Asked({ id: 'storm' }))
  await w.publish(Asked({ id: 'calm' }))
  await w.settled()
  const { events } = await w.app.flow(storm.correlationId)
  assert.ok(events.length > 100 && events.length < 400, `${events.length} events`)
  const letters = await w.app.deadLetters.list({ limit: 1_000 })
  assert.ok(letters.length > 0)
  for (const { code, attempts, event } of letters) {
    assert.equal(code, 'CONVERSATION_BUDGET_EXCEEDED')
    assert.equal(attempts.length, 1)
    assert.equal(event!.correlationId, storm.correlationId)
  }
  const details = w.errors[0]!.error
  assert.ok(isQuadrilleError(details, 'CONVERSATION_BUDGET_EXCEEDED'))
  assert.equal(details.details.limit, 100)
  await w.publish(Asked({ id: 'calm again' }))
  await w.settled()
  assert.equal((await w.app.deadLetters.list({ key: 'calm again' })).length, 0)
})

test('a conversation that goes round many services of a process is stopped as soon as in one', async () => {
  const [limit, services] = [320, 40]
  const steps = Array.from({ length: services }, (_, i) => event(`step-${i}`, { key: 'id', schema }))
  const ring = steps.map((step, i) => {
    const next = steps[(i + 1) % services]!
    return service(`s${i}`, { maxHops: 10_000 }).on(step, { emits: [next] }, (data) => next(data))
  })
  await using w = await lenientWorld(ring, { conversationEventsMax: limit })
  await w.publish(steps[0]!({ id: 'k' }))
  await w.settled()
  assert.equal((await w.app.deadLetters.list())[0]?.code, 'CONVERSATION_BUDGET_EXCEEDED')
  // Each sixteenth of the limit the ledger is asked.
  assert.ok(w.events.length > limit && w.events.length <= limit + limit / 16, `${w.events.length} events`)
})

test('events that the filter refuses are none of the reaction’s business; one that throws is a failure of its event', async () => {
  const oracle = service('oracle', { db }).on(
    Asked,
    {
      retry: { attempts: 1 },
      filter: ({ id, n }) => {
        if (id === 'odd') throw new TypeError('no such field')
        return n > 0
      },
    },
    ({ id }, c) => effect(c.db, id),
  )
  await using w = await effectWorld([oracle])
  await w.publish([Asked({ id: 'a', n: 1 }), Asked({ id: 'b', n: 0 }), Asked({ id: 'odd' }), Asked({ id: 'c', n: 2 })])
  await w.settled()
  assert.deepEqual(await effects(w.app, oracle), { a: 1, c: 1 })
  assert.deepEqual(
    (await w.app.deadLetters.list()).map(({ event, code }) => [event!.key, code]),
    [['odd', 'TypeError']],
  )
})

test('the events of a reaction belong to the conversation of their cause, and know it', async () => {
  const oracle = service('oracle').on(Asked, { emits: [Answered, Undone] }, (asked) => [Answered(asked), Undone(asked)])
  await using w = await lenientWorld([oracle])
  await w.publish(Asked({ id: 'k' }), { correlationId: 'given', causationId: 'outside' })
  await w.settled()
  const [asked, ...others] = w.events
  assert.deepEqual([asked!.correlationId, asked!.causationId, asked!.hops], ['given', 'outside', 0])
  for (const each of others)
    assert.deepEqual(
      [each.correlationId, each.causationId, each.hops, each.reaction, each.source],
      ['given', asked!.id, 1, 'asked', 'oracle'],
    )
})
