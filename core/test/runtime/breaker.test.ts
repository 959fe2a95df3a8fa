/** A breaker pauses a reaction that keeps failing, lets one event probe, and goes on when that succeeds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NonRetryable, service, type ReactionPolicy } from 'quadrille'
import { metricsHooks, metricsRegistry } from 'quadrille/observe'
import { Asked, db, effect, effects, gate, lenientWorld, effectWorld } from './setup.ts'

const many = (count: number) => Array.from({ length: count }, (_, i) => Asked({ id: `k${i}` }))
const policy = {
  breaker: { failures: 5, pause: '10s', pauseMax: '40s' },
  retry: { attempts: 8, base: 10, max: 10 },
  concurrency: 4,
} as const satisfies ReactionPolicy

for (const how of ['handler', 'call'] as const) {
  test(`during an outage of what the ${how} needs, 2,000 events wait: few attempts, and none is lost to the dead letters`, async () => {
    let broken = true
    let attempts = 0
    const work = () => {
      attempts += 1
      if (broken) throw new Error('down')
    }
    const oracle = service('oracle', { db, ...policy })
    if (how === 'call') oracle.on(Asked, { call: work }, ({ id }, c) => effect(c.db, id))
    else
      oracle.on(Asked, {}, ({ id }, c) => {
        work()
        effect(c.db, id)
      })
    await using w = await effectWorld([oracle])
    await w.publish(many(2_000).slice(0, 1_000))
    await w.publish(many(2_000).slice(1_000))
    await w.settled()
    assert.ok(attempts <= 4 * policy.concurrency, `only what was in hand: ${attempts} attempts until it opened`)
    assert.deepEqual((await w.app.health()).readers[0]!.openBreakers, ['asked'])
    const whileOpen = attempts
    await w.advance(9_999)
    assert.equal(attempts, whileOpen, 'no attempts while it is open')
    await w.advance('10m')
    assert.ok(attempts <= 40, `${attempts} attempts in ten minutes of outage`)
    assert.deepEqual(await w.app.deadLetters.list(), [])
    broken = false
    await w.advance('2m')
    const all = await effects(w.app, oracle)
    assert.equal(Object.keys(all).length, 2_000)
    assert.ok(Object.values(all).every((times) => times === 1))
    assert.deepEqual((await w.app.health()).readers[0]!.openBreakers, [])
    assert.deepEqual(await w.app.deadLetters.list(), [])
  })
}

test('one event probes when the pause is over; a failed probe doubles the pause, up to its maximum', async () => {
  const attempts: number[] = []
  let broken = true
  const oracle = service('oracle', policy).on(Asked, () => {
    attempts.push(w.env.now() - startMs)
    if (broken) throw new Error('down')
  })
  const states: string[] = []
  await using w = await lenientWorld([oracle], { hooks: { breaker: ({ state }) => void states.push(state) } })
  const startMs = w.env.now()
  await w.publish(many(100))
  await w.settled()
  attempts.length = 0
  await w.advance('150s')
  const probes = [...attempts]
  assert.deepEqual(
    probes.map((at) => Math.round(at / 1_000)),
    [10, 30, 70, 110, 150],
  )
  broken = false
  await w.advance('1m')
  assert.equal(attempts.length, probes.length + 100)
  assert.deepEqual(states, ['open', 'open', 'open', 'open', 'open', 'open', 'probing', 'closed'])
  broken = true
  attempts.length = 0
  await w.publish(many(100))
  await w.advance('12s')
  assert.ok(attempts.length <= 12, 'after it had closed it begins again with the first pause')
})

test('a call that probes is told while it is under way, and the metric says so until it has ended', async () => {
  const answers = [Promise.reject(new Error('down'))]
  answers[0]!.catch(() => {})
  const probe = gate()
  const begun = gate()
  const call = async () => {
    const answer = answers.shift()
    if (answer) return answer
    begun.open()
    return probe.promise
  }
  const breaker = { failures: 1, pause: '10s' } as const
  const oracle = service('oracle', { breaker, retry: { base: 10, max: 10 } }).on(Asked, { call }, () => {})
  const registry = metricsRegistry()
  await using w = await lenientWorld([oracle], { hooks: metricsHooks(registry) })
  const state = () => /^quadrille_breaker_state\{.*\} (\d)$/m.exec(registry.text())?.[1]
  await w.publish(Asked({ id: 'k' }))
  await w.settled()
  assert.equal(state(), '2')
  await w.env.advance(10_000)
  await begun.promise
  assert.equal(state(), '1')
  probe.open()
  await w.settled()
  assert.equal(state(), '0')
})

test('a probe that can never succeed makes room for another, so that one bad event does not keep the breaker open', async () => {
  let broken = true
  const oracle = service('oracle', { db, ...policy }).on(Asked, ({ id }, c) => {
    if (broken || id === 'k0') throw new Error('down')
    effect(c.db, id)
  })
  await using w = await effectWorld([oracle])
  await w.publish(many(30))
  await w.settled()
  broken = false
  await w.advance('10m')
  assert.equal(Object.keys(await effects(w.app, oracle)).length, 29)
  for (const id of ['x', 'y', 'z']) {
    await w.publish(Asked({ id }))
    await w.advance('10m')
  }
  assert.deepEqual(
    (await w.app.deadLetters.list()).map(({ event }) => event!.key),
    ['k0'],
  )
})

test('an event that is itself wrong goes to the dead letters at once and says nothing about the breaker', async () => {
  const oracle = service('oracle', { db, ...policy }).on(Asked, ({ id }, c) => {
    if (id !== 'k50') throw new NonRetryable('malformed')
    effect(c.db, id)
  })
  await using w = await effectWorld([oracle])
  await w.publish(many(51))
  await w.settled()
  assert.equal((await w.app.deadLetters.list()).length, 50)
  assert.deepEqual(await effects(w.app, oracle), { k50: 1 })
})

test('the few events that have to probe again and again are not used up by a long outage', async () => {
  let broken = true
  const oracle = service('oracle', { db, ...policy }).on(Asked, ({ id }, c) => {
    if (broken) throw new Error('down')
    effect(c.db, id)
  })
  await using w = await effectWorld([oracle])
  await w.publish(many(5))
  await w.advance('2h')
  assert.ok(w.errors.length > 100)
  assert.deepEqual(await w.app.deadLetters.list(), [])
  broken = false
  await w.advance('1m')
  assert.equal(Object.keys(await effects(w.app, oracle)).length, 5)
})
