/** Waiting for facts: seen() for what a service has handled, outcome() for how a conversation ended. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { choreography, service } from 'quadrille'
import { Answered, Asked, Cancelled, Undone, fileWorld, gate, ledgerFile, lenientWorld } from './setup.ts'

test('seen() waits until the service has handled the events of the token, and its own rows can be read', async () => {
  const goOn = gate()
  const handled: number[] = []
  const oracle = service('oracle').on(Asked, { call: () => goOn.promise }, ({ n }) => void handled.push(n))
  await using w = await lenientWorld([oracle])
  const token = await w.publish([Asked({ id: 'a', n: 1 }), Asked({ id: 'b', n: 2 })])
  const seen = w.app.seen(token, oracle).then(() => handled.length)
  goOn.open()
  assert.equal(await seen, 2)
  await w.app.seen(token, 'oracle', { timeout: 0 })
})

test('seen() waits for events that the service has not even read yet, wherever it runs', async (t) => {
  const path = ledgerFile(t)
  const oracle = service('oracle').on(Asked, () => {})
  {
    await using w = await fileWorld(path, [oracle])
    await w.publish(Asked({ id: 'a', n: 1 }))
    await w.settled()
  }
  let token
  {
    await using w = await fileWorld(path, [service('publisher').on(Undone, () => {})])
    token = await w.publish(Asked({ id: 'a', n: 2 }))
    await assert.rejects(w.app.seen(token, oracle, { timeout: 0 }), { code: 'TIMED_OUT' })
  }
  await using w = await fileWorld(path, [oracle])
  await w.app.seen(token, oracle)
})

test('seen() waits for an event that was known, as when a call is repeated: its token names the first one', async () => {
  const goOn = gate()
  const oracle = service('oracle').on(Asked, { call: () => goOn.promise }, () => {})
  await using w = await lenientWorld([oracle])
  const options = { correlationId: 'order 7' }
  const first = await w.app.publish(Asked({ id: 'a', n: 1 }, { id: 'request-7' }), options)
  const again = await w.app.publish(Asked({ id: 'a', n: 1 }, { id: 'request-7' }))
  assert.deepEqual(again, first)
  const mixed = await w.app.publish([Asked({ id: 'b' }), Asked({ id: 'a', n: 1 }, { id: 'request-7' })])
  assert.deepEqual(mixed.events.map(({ key, position }) => [key, position]).toSorted(), [
    ['a', first.events[0]!.position],
    ['b', first.events[0]!.position + 1],
  ])
  await assert.rejects(w.app.seen(again, oracle, { timeout: 0 }), { code: 'TIMED_OUT' })
  goOn.open()
  await w.app.seen(again, oracle)
})

test('seen() says when the service does not run here, for the name may be misspelt', async () => {
  const oracle = service('oracle').on(Asked, () => {})
  await using w = await lenientWorld([oracle, service('clerk').on(Answered, () => {})])
  const token = await w.publish(Asked({ id: 'a' }))
  await assert.rejects(w.app.seen(token, 'orcale', { timeout: 0 }), {
    code: 'TIMED_OUT',
    message: /by orcale, which does not run in this app \(running: oracle, clerk\), did not come within 0 ms/,
  })
})

test('seen() does not wait for events that are none of the service’s, nor for a token without events', async () => {
  const oracle = service('oracle').on(Asked, () => {})
  const clerk = service('clerk').on(Answered, () => {})
  await using w = await lenientWorld([oracle, clerk])
  const token = await w.publish(Asked({ id: 'a' }))
  await w.app.seen(token, clerk)
  await w.app.seen(await w.publish([]), clerk)
})

test('seen() waits for what is parked, collected or coalesced, and times out', async () => {
  let broken = true
  const oracle = service('oracle')
    .on(Asked, { name: 'shaky', retry: { base: '1m', max: '1m' } }, () => {
      if (broken) throw new Error('down')
    })
    .on(Answered, { name: 'batch', batch: { size: 9, within: '1m' } }, () => {})
    .on(Cancelled, { name: 'latest', coalesce: { within: '1m' } }, () => {})
  await using w = await lenientWorld([oracle], { seed: 5 })
  for (const event of [Asked({ id: 'a' }), Answered({ id: 'a' }), Cancelled({ id: 'a' })]) {
    broken = true
    const token = await w.publish(event)
    await w.settled()
    await assert.rejects(
      w.app.seen(token, oracle, { timeout: 0 }),
      { code: 'TIMED_OUT', retryable: true },
      `${event.type} is not handled yet`,
    )
    broken = false
    const seen = w.app.seen(token, oracle, { timeout: '10m' })
    await w.advance('2m')
    await seen
  }
})

test('seen() is over when the event became a dead letter, also one that holds its key', async () => {
  const oracle = service('oracle').on(Asked, { retry: { attempts: 1 }, onDead: 'hold' }, () => {
    throw new Error('never')
  })
  await using w = await lenientWorld([oracle])
  await w.app.seen(await w.publish(Asked({ id: 'a' })), oracle)
})

const oracle = () =>
  service('oracle')
    .on(Asked, { emits: [Answered, Cancelled] }, ({ id, n }) => (n < 0 ? Cancelled({ id }) : Answered({ id, n })))
    .on(Undone, () => {})
const dance = (services = [oracle()]) =>
  choreography('dance', {
    services,
    starts: [Asked],
    ends: { success: [Answered.where({ n: 1 })], failure: [Cancelled] },
    within: '10m',
  })

test('outcome() gives an end that has come already, with its event and data', async () => {
  const checkout = dance()
  await using w = await lenientWorld(checkout.services)
  const { correlationId } = await w.publish([Asked({ id: 'good', n: 1 }), Asked({ id: 'bad', n: -1 })])
  await w.settled()
  const good = await w.app.outcome(checkout, 'good')
  assert.equal(good.status, 'success')
  assert.deepEqual(good.data, { id: 'good', n: 1 })
  assert.equal(good.event.type, 'answered')
  assert.equal(good.correlationId, correlationId)
  assert.equal((await w.app.outcome(checkout, 'bad')).status, 'failure')
})

test('outcome() waits for an end that comes later, and for nothing that only looks like one', async () => {
  const checkout = dance()
  await using w = await lenientWorld(checkout.services)
  await w.publish(Asked({ id: 'k', n: 2 }))
  await w.settled()
  const outcome = w.app.outcome(checkout, 'k')
  await w.publish(Asked({ id: 'k', n: 1 }))
  assert.deepEqual((await outcome).data, { id: 'k', n: 1 })
})

test('outcome() times out after the given time, and otherwise after the `within` of the choreography', async () => {
  const checkout = dance()
  await using w = await lenientWorld(checkout.services)
  const timesOut = (afterMs: number, options?: { timeout: '1s' }) => {
    const startMs = w.env.now()
    const waits = assert
      .rejects(w.app.outcome(checkout, 'nobody', options), { code: 'TIMED_OUT' })
      .then(() => assert.equal(w.env.now() - startMs, afterMs))
    return Promise.all([waits, w.advance(afterMs)])
  }
  await timesOut(1_000, { timeout: '1s' })
  await timesOut(600_000)
})

test('quiet() resolves when nothing is left that could be done now, also across services', async () => {
  const goOn = gate()
  const resting = gate()
  const order: string[] = []
  let begun = false
  const first = service('first').on(
    Asked,
    {
      emits: [Answered],
      call: () => {
        begun = true
        return goOn.promise
      },
    },
    (asked) => Answered(asked),
  )
  const second = service('second').on(Answered, { emits: [Undone] }, ({ id }) => Undone({ id }))
  const third = service('third').on(Undone, ({ id }) => void order.push(id))
  await using w = await lenientWorld([third, second, first], {
    hooks: { idle: ({ reader }) => void (begun && reader === 'first' && resting.open()) },
  })
  await w.publish(Asked({ id: 'k' }))
  await resting.promise
  const quiet = w.app.quiet().then(() => order.push('quiet'))
  goOn.open()
  await quiet
  assert.deepEqual(order, ['k', 'quiet'])
})

test('seen() still waits for what is behind a dead letter that holds its key', async () => {
  const oracle = service('oracle').on(Asked, { retry: { attempts: 1 }, onDead: 'hold' }, ({ n }) => {
    if (n === 1) throw new Error('never')
  })
  await using w = await lenientWorld([oracle])
  await w.publish(Asked({ id: 'a', n: 1 }))
  const token = await w.publish(Asked({ id: 'a', n: 2 }))
  await w.settled()
  await assert.rejects(w.app.seen(token, oracle, { timeout: 0 }), { code: 'TIMED_OUT' })
  await w.app.deadLetters.discard({}, 'a test order')
  await w.app.seen(token, oracle)
})
