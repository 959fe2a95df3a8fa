/** Where few events of the log are for a reader it looks at many at a time, and still handles no more at once than anywhere. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { service } from 'quadrille'
import { Asked, fileWorld, ledgerFile } from './setup.ts'

/** What a reader has handled, in order, and how many events each of its batches had; all events were there when it began. */
async function run(t: TestContext, isFor: readonly boolean[], batchMax: number) {
  const path = ledgerFile(t)
  {
    await using w = await fileWorld(path, [service('source')])
    const events = isFor.map((wanted, n) => Asked({ id: `k${n % 7}`, n, note: wanted ? 'yes' : 'no' }))
    for (let at = 0; at < events.length; at += 1_000) await w.publish(events.slice(at, at + 1_000))
  }
  const handled: number[] = []
  const batches: number[] = []
  const reads = service('reads').on(
    Asked.where({ note: 'yes' }),
    { from: 'beginning' },
    ({ n }) => void handled.push(n),
  )
  const hooks = { batch: ({ events }: { readonly events: number }) => void (events > 0 && batches.push(events)) }
  await using w = await fileWorld(path, [reads], { batchMax, hooks })
  await w.settled()
  return { handled, batches }
}

test('one event in twenty is handled in batches that are as large as if there were no others', async (t) => {
  const { handled, batches } = await run(
    t,
    Array.from({ length: 20_000 }, (_, n) => n % 20 === 0),
    1_000,
  )
  assert.equal(handled.length, 1_000)
  // Pages of 64 held three each, so there were 313.
  assert.ok(batches.length < 50, `${batches.length} batches`)
})

test('many events behind few are not handled at once: pages that were passed over do not make batches larger', async (t) => {
  const none = Array.from({ length: 5_000 }, () => false)
  const { handled, batches } = await run(t, [...none, ...none.map(() => true)], 1_000)
  assert.equal(handled.length, 5_000)
  assert.equal(batches[0], 64)
})

test('whatever is passed over, each event for the reader is handled once, in order, and no batch is too large', async (t) => {
  const stretches = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 200 })), { minLength: 1, maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(stretches, fc.integer({ min: 1, max: 100 }), async (lengths, batchMax) => {
      const isFor = lengths.flatMap(([wanted, length]) => Array.from({ length }, () => wanted))
      const { handled, batches } = await run(t, isFor, batchMax)
      assert.deepEqual(
        handled,
        isFor.flatMap((wanted, n) => (wanted ? [n] : [])),
      )
      assert.ok(Math.max(0, ...batches) <= batchMax, `${Math.max(...batches)} events`)
    }),
    { numRuns: 20 },
  )
})
