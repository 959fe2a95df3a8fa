/** A handler that has collided with somebody else's transaction is run again, and has not failed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { service, silentLogger, start } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import { Asked } from './setup.ts'

/** What SQLite says of a lock that somebody else has: a handler may meet it on a connection of its own. */
const busy = () => Object.assign(new Error('database is locked'), { errcode: 5 })

/** Sixty events in one batch, whose handlers collide so many times each before they get through. */
async function stormy(timesEach: number, isHit: (n: number) => boolean = () => true) {
  const collided = new Map<number, number>()
  const reads = service('reads').on(Asked, { retry: { attempts: 2, base: '1m' } }, ({ n }) => {
    const before = collided.get(n) ?? 0
    if (isHit(n) && before < timesEach) {
      collided.set(n, before + 1)
      throw busy()
    }
  })
  let [handled, failures] = [0, 0]
  const attempts = new Set<number>()
  const hooks = {
    failed: () => void (failures += 1),
    handled(facts: { readonly attempt: number }) {
      attempts.add(facts.attempt)
      handled += 1
    },
  }
  const app = await start({ services: [reads], ledger: sqlite(':memory:'), log: silentLogger, hooks })
  try {
    await app.publish(Array.from({ length: 60 }, (_, n) => Asked({ id: `k${n}`, n })))
    while (handled + failures < 60) await new Promise((resolve) => setTimeout(resolve, 20))
  } finally {
    await app.stop()
  }
  return { attempts: [...attempts], handled, failures }
}

test('collisions of many handlers of a batch are no attempts, however many they are together', async () => {
  const { attempts, handled, failures } = await stormy(3)
  assert.deepEqual([handled, failures, attempts], [60, 0, [1]])
})

test('a handler that collides again and again while nothing commits has failed in the end, and holds up nobody', async () => {
  const { handled, failures } = await stormy(Infinity, (n) => n === 30)
  assert.deepEqual([handled, failures], [59, 1])
})
