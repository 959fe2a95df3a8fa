/** Whatever the order of action, undo and duplicates, and whatever fails: at most one effect, and none when undone. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { service } from 'quadrille'
import { Answered, Asked, Cancelled, db, effect, effects, effectWorld } from './setup.ts'

const step = fc.record({
  what: fc.constantFrom('action', 'undo', 'other undo', 'redrive'),
  settle: fc.boolean(),
})
const failures = fc.record({
  beforeCharge: fc.array(fc.boolean(), { maxLength: 6 }),
  afterCharge: fc.array(fc.boolean(), { maxLength: 6 }),
  refund: fc.array(fc.boolean(), { maxLength: 6 }),
  handler: fc.array(fc.boolean(), { maxLength: 6 }),
})

test('random orders of action, undo, duplicates and redrives with random failures leave 0 or 1 effects, and never 1 when undone', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 8 }),
      failures,
      fc.boolean(),
      async (steps, fails, duplicate) => {
        const toss = (list: boolean[]) => {
          if (list.shift()) throw new Error('down')
        }
        const left = structuredClone(fails) as { [K in keyof typeof fails]: boolean[] }
        const charged = new Set<string>()
        const refunded = new Set<string>()
        const payments = service('payments', { db, retry: { attempts: 3, base: 50 } }).on(
          Asked,
          {
            call: async (_, { idempotencyKey }) => {
              toss(left.beforeCharge)
              charged.add(idempotencyKey)
              toss(left.afterCharge)
              return idempotencyKey
            },
            undo: {
              on: [Cancelled, Answered],
              call: async (_, { done }) => {
                toss(left.refund)
                refunded.add(done)
              },
              run: (_, c) => effect(c.db, 'undone'),
            },
          },
          (_, c) => {
            effect(c.db, 'done')
            toss(left.handler)
          },
        )
        await using w = await effectWorld([payments])
        for (const { what, settle } of steps) {
          const events = {
            action: [Asked({ id: 'k' }, { id: 'the-action' })],
            undo: [Cancelled({ id: 'k' })],
            'other undo': [Answered({ id: 'k' })],
            redrive: [],
          }[what]
          if (what === 'redrive') await w.app.deadLetters.redrive({})
          else await w.publish(duplicate ? [...events, ...events] : events)
          if (settle) await w.advance('5s')
        }
        await w.advance('1d')
        for (let rounds = 0; rounds < 12; rounds++) {
          await w.app.deadLetters.redrive({})
          await w.advance('1d')
        }
        const { done = 0, undone = 0 } = await effects(w.app, payments)
        const acted = steps.some(({ what }) => what === 'action')
        const cancelled = steps.some(({ what }) => what.endsWith('undo'))
        const kept = charged.size - refunded.size
        assert.ok(done <= 1 && undone <= 1 && charged.size <= 1)
        assert.deepEqual(await w.app.deadLetters.list(), [])
        if (cancelled) assert.equal(kept, 0, 'undone, so nothing is kept')
        else assert.equal(kept, acted ? 1 : 0)
        if (cancelled) assert.ok(done <= undone, 'what was done is undone')
      },
    ),
    { numRuns: 150 },
  )
})
