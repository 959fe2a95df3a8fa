/** What can not be looked at: a schema or filter that throws, or of which a process has died, keeps its place in the lane. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { event, partitionCount, service } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import { manualEnv } from 'quadrille/testing'
import * as z from 'zod'
import {
  Asked,
  Cancelled,
  Undone,
  db,
  effect,
  effects,
  effectTable,
  fileWorld,
  ledgerFile,
  lenientWorld,
} from './setup.ts'

/** A filter that throws so often for events with this number, and then answers. */
function moody(n: number, times: number, answer: boolean) {
  let left = times
  return (data: { n: number }): boolean => {
    if (data.n !== n) return true
    if (left-- > 0) throw new Error('not now')
    return answer
  }
}

for (const answer of [true, false]) {
  test(`a filter that throws is asked again, and then the event ${answer ? 'is handled' : 'is none of the reaction’s business'}`, async () => {
    const handled: number[] = []
    const picky = service('picky').on(Asked, { filter: moody(1, 2, answer) }, ({ n }) => void handled.push(n))
    await using w = await lenientWorld([picky])
    await w.publish([Asked({ id: 'a', n: 1 }), Asked({ id: 'a', n: 2 })])
    await w.settled()
    await w.advance('1m')
    assert.deepEqual(handled, answer ? [1, 2] : [2])
    assert.deepEqual(await w.app.deadLetters.list(), [])
  })
}

test('an event whose filter throws waits behind an earlier one of its key that is tried again', async () => {
  const handled: number[] = []
  const picky = service('picky').on(
    Asked,
    { filter: moody(2, 1, true), retry: { base: '10s' } },
    ({ n }, { attempt }) => {
      if (n === 1 && attempt < 3) throw new Error('later')
      handled.push(n)
    },
  )
  await using w = await lenientWorld([picky])
  await w.publish([Asked({ id: 'a', n: 1 }), Asked({ id: 'a', n: 2 })])
  await w.settled()
  await w.advance('1m')
  assert.deepEqual(handled, [1, 2])
})

test('a dead letter that could not be decoded is asked the filter when it is redriven', async () => {
  let broken = true
  const Picky = event('picky', {
    key: 'id',
    schema: z.object({ id: z.string(), n: z.number() }).refine(() => !broken),
  })
  const handled: number[] = []
  const picky = service('picky').on(Picky, { filter: ({ n }) => n > 1 }, ({ n }) => void handled.push(n))
  await using w = await lenientWorld([picky])
  broken = false
  const made = [Picky({ id: 'a', n: 1 }), Picky({ id: 'b', n: 2 })]
  await w.publish(made)
  broken = true
  await w.settled()
  broken = false
  assert.equal((await w.app.deadLetters.list()).length, 2)
  await w.app.deadLetters.redrive({})
  await w.settled()
  assert.deepEqual(handled, [2])
})

/** As if a process that held all partitions had died, not as the first in a row, while it looked at this event alone. */
async function dieLookingAt(path: string, reader: string, position: number): Promise<void> {
  const ledger = sqlite(path, { synchronous: 'NORMAL' })
  const env = manualEnv()
  await ledger.open(env)
  const page = { by: 'the dead', of: 1, from: position, upTo: position }
  try {
    const { leases } = await ledger.lease({ reader, owner: 'the dead', leaseMs: 1 })
    assert.equal(leases.length, partitionCount)
    await ledger.transact((tx) =>
      tx.save(
        leases.map(({ partition }) => ({
          scope: reader,
          kind: 'deaths',
          id: String(partition),
          partition,
          lane: null,
          seq: 0,
          due: null,
          expires: env.now() + 60_000,
          body: JSON.stringify({ count: 3, page }),
        })),
      ),
    )
  } finally {
    await ledger.close()
  }
}

test('an undo that kills who looks at it does not overtake its action, of which a call may have been made', async (t) => {
  const path = ledgerFile(t)
  const charged = new Set<string>()
  const order: string[] = []
  const charge = (key: string) => {
    charged.add(key)
    if (order.push('charged') === 1) throw new Error('no answer')
    return key
  }
  const payments = service('payments', { db }).on(
    Asked,
    {
      name: 'pay',
      retry: { base: '30s' },
      call: (_, { idempotencyKey }) => charge(idempotencyKey),
      undo: {
        on: [Cancelled],
        emits: [Undone],
        call: (_, { done }) => {
          order.push('refunded')
          charged.delete(done)
        },
        run: ({ id }, { db: handle }) => {
          effect(handle, `undone ${id}`)
          return Undone({ id })
        },
      },
    },
    ({ id }, { db: handle }) => effect(handle, `done ${id}`),
  )
  {
    await using w = await fileWorld(path, [payments])
    await effectTable(w.app, payments)
    await w.publish(Asked({ id: 'a' }))
    while (order.length === 0) await w.advance(1)
    await w.advance(1)
  }
  let position = 0
  {
    await using w = await fileWorld(path, [service('elsewhere').on(Undone, () => {})])
    position = (await w.publish(Cancelled({ id: 'a' }))).events[0]!.position
  }
  await dieLookingAt(path, 'payments', position)
  const parked: (string | null)[] = []
  const hooks = {
    failed: ({ error }: { error: unknown }) => void parked.push((error as { code?: string }).code ?? null),
  }
  await using w = await fileWorld(path, [payments], { hooks, startMs: manualEnv().now() + 1_000 })
  await w.settled()
  await w.advance('2m')
  assert.deepEqual(order, ['charged', 'charged', 'refunded'])
  assert.deepEqual(charged, new Set())
  assert.deepEqual(await effects(w.app, payments), { 'done a': 1, 'undone a': 1 })
  assert.deepEqual(parked, [])
})
