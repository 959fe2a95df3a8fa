/** Joins that are handed over several at a time: each once, with its own parts, whatever comes twice, fails or is late. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import * as z from 'zod'
import { event, service } from 'quadrille'
import { db, effect, effects, effectTable, fileWorld, ledgerFile, lenientWorld } from './setup.ts'

const part = z.object({ id: z.string(), n: z.number().default(0) })
const A = event('part.a', { key: 'id', schema: part })
const B = event('part.b', { key: 'id', schema: part })
const Joined = event('joined', { key: 'id', schema: z.object({ id: z.string(), of: z.string() }) })
const Late = event('late', { key: 'id', schema: z.object({ id: z.string() }) })

interface Seen {
  /** The ids of each run of the handler, those that were rolled back included. */
  readonly runs: string[][]
  broken: ReadonlySet<string>
}

function joiner(size: number) {
  const seen: Seen = { runs: [], broken: new Set() }
  const joins = service('joiner', { db }).all(
    [A, B],
    {
      name: 'join',
      batch: { size },
      emits: [Joined, Late],
      within: '10m',
      retry: { attempts: 3, base: '1m', max: '1m' },
      late: (_, { event: { key } }) => Late({ id: key }),
    },
    (complete, { db: handle, events }) => {
      seen.runs.push(complete.map(([a]) => a.id))
      assert.deepEqual(
        events.map(({ key }) => key),
        complete.map(([a]) => a.id),
      )
      for (const [a] of complete) effect(handle, a.id)
      if (complete.some(([a]) => seen.broken.has(a.id))) throw new Error('this one')
      return complete.map(([a, b]) => Joined({ id: a.id, of: `${a.n},${b.n}` }))
    },
  )
  return { joins, seen }
}

const both = (ids: readonly string[]) => [
  ...ids.map((id, n) => A({ id, n })),
  ...ids.toReversed().map((id) => B({ id, n: 9 })),
]

test('complete joins are handed over up to `size` at once, each once, and what they emit is of their own conversation', async () => {
  const { joins, seen } = joiner(2)
  await using w = await lenientWorld([joins])
  await effectTable(w.app, joins)
  await w.publish([...both(['x', 'y', 'z']), B({ id: 'x', n: 7 }), A({ id: 'x', n: 7 }), A({ id: 'open' })])
  await w.settled()
  assert.deepEqual(seen.runs, [['z', 'y'], ['x']])
  assert.deepEqual(
    w.saw(Joined).map(({ id, of }) => [id, of]),
    [
      ['z', '2,9'],
      ['y', '1,9'],
      ['x', '0,9'],
    ],
  )
  assert.deepEqual(await effects(w.app, joins), { x: 1, y: 1, z: 1 })
  await w.advance('1h')
  assert.deepEqual(w.saw(Late), [{ id: 'open' }])
})

test('the causes of what a batch of joins emits are the events that completed each', async () => {
  const { joins } = joiner(10)
  await using w = await lenientWorld([joins])
  await effectTable(w.app, joins)
  const causes = new Map<string, string>()
  for (const id of ['x', 'y']) {
    await w.app.publish(A({ id }), { correlationId: `of ${id}` })
    const { events } = await w.app.publish(B({ id }), { correlationId: `of ${id}` })
    causes.set(id, events[0]!.id)
  }
  await w.settled()
  for (const id of ['x', 'y']) {
    const flow = await w.app.flow(`of ${id}`)
    const joined = flow.events.find(({ type }) => type === 'joined')!
    assert.deepEqual([joined.key, joined.causationId], [id, causes.get(id)])
  }
})

test('when the handler fails for one of a batch, the others are handled once, and that one is tried again and dies alone', async () => {
  const { joins, seen } = joiner(10)
  seen.broken = new Set(['y'])
  await using w = await lenientWorld([joins])
  await effectTable(w.app, joins)
  await w.publish(both(['x', 'y', 'z']))
  await w.settled()
  assert.deepEqual(await effects(w.app, joins), { x: 1, z: 1 })
  await w.advance('5m')
  const [letter, ...others] = await w.app.deadLetters.list()
  assert.deepEqual([letter?.event?.key, letter?.attempts.length, others], ['y', 3, []])
  seen.broken = new Set()
  await w.app.deadLetters.redrive({})
  await w.advance('1m')
  assert.deepEqual(await effects(w.app, joins), { x: 1, y: 1, z: 1 })
  assert.equal(w.saw(Joined).length, 3)
})

test('parts that have come survive a restart, and are handed over with others', async (t) => {
  const path = ledgerFile(t)
  {
    const { joins } = joiner(10)
    await using w = await fileWorld(path, [joins])
    await effectTable(w.app, joins)
    await w.publish([A({ id: 'x', n: 1 }), A({ id: 'y', n: 2 })])
    await w.settled()
  }
  const { joins, seen } = joiner(10)
  await using w = await fileWorld(path, [joins])
  await w.publish([B({ id: 'y' }), B({ id: 'x' })])
  await w.settled()
  assert.deepEqual(seen.runs, [['y', 'x']])
  assert.deepEqual(w.saw(Joined).length, 2)
})

test('random parts, duplicates and failures: every join that is complete happens once', async () => {
  const id = fc.constantFrom('a', 'b', 'c', 'd', 'e')
  const step = fc.record({ isA: fc.boolean(), id, waitMs: fc.constantFrom(0, 0, 0, 7_000) })
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 30 }),
      fc.record({ size: fc.integer({ min: 1, max: 4 }), batchMax: fc.integer({ min: 1, max: 9 }), broken: id }),
      async (steps, { size, batchMax, broken }) => {
        const { joins, seen } = joiner(size)
        seen.broken = new Set([broken])
        await using w = await lenientWorld([joins], { batchMax })
        await effectTable(w.app, joins)
        for (const each of steps) {
          await w.publish(each.isA ? A({ id: each.id }) : B({ id: each.id }))
          if (each.waitMs > 0) await w.advance(each.waitMs)
        }
        await w.settled()
        seen.broken = new Set()
        await w.advance('3m')
        const has = (isA: boolean, key: string) => steps.some((each) => each.isA === isA && each.id === key)
        const dead = (await w.app.deadLetters.list()).map(({ event }) => event!.key)
        const whole = ['a', 'b', 'c', 'd', 'e'].filter((key) => has(true, key) && has(false, key))
        const expected = whole.filter((key) => !dead.includes(key))
        assert.deepEqual(await effects(w.app, joins), Object.fromEntries(expected.map((key) => [key, 1])))
        if (expected.length === 0) return w.neverSaw(Joined)
        const joined = w.saw(Joined).map(({ id }) => id)
        assert.deepEqual(joined.toSorted(), expected)
      },
    ),
    { numRuns: 40 },
  )
})
