/** For every key and reaction, effects are in ledger order and happen once: whatever fails, is called, parked or collected. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { service } from 'quadrille'
import type { SqliteHandle } from 'quadrille/sqlite'
import { Asked, db, lenientWorld, rows } from './setup.ts'

interface Step {
  readonly key: string
  readonly failsHandler: number
  readonly failsCall: number
  readonly waitMs: number
}

const step: fc.Arbitrary<Step> = fc.record({
  key: fc.constantFrom('a', 'b', 'c', 'd'),
  failsHandler: fc.integer({ min: 0, max: 2 }),
  failsCall: fc.integer({ min: 0, max: 2 }),
  waitMs: fc.constantFrom(0, 0, 0, 50, 400),
})

test('random keys, failures and calls: per key and reaction, effects are in ledger order and happen once', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 9 }),
      async (steps, size) => {
        const log = (handle: SqliteHandle, reaction: string, { id, n }: { id: string; n: number }) =>
          handle.prepare('INSERT INTO log (reaction, key, n) VALUES (?, ?, ?)').run(reaction, id, n)
        const retry = { attempts: 10, base: 300, max: 600 }
        const oracle = service('oracle', { db, retry, concurrency: 2 })
          .on(Asked, { name: 'plain' }, (asked, c) => {
            log(c.db, 'plain', asked)
            if (c.attempt <= steps[asked.n]!.failsHandler) throw new Error('handler')
          })
          .on(
            Asked,
            {
              name: 'calling',
              call: async ({ n }, { attempt }) => {
                if (attempt <= steps[n]!.failsCall) throw new Error('call')
              },
            },
            (asked, c) => {
              log(c.db, 'calling', asked)
              if (c.attempt <= steps[asked.n]!.failsHandler) throw new Error('handler')
            },
          )
          .on(Asked, { name: 'batch', batch: { size: 3, within: 100 } }, (list, c) => {
            for (const asked of list) log(c.db, 'batch', asked)
            if (list.some(({ n }) => c.attempt <= steps[n]!.failsHandler)) throw new Error('handler')
          })
        await using w = await lenientWorld([oracle], { batchMax: size })
        await w.app.transact(oracle, (c) => c.db.exec('CREATE TABLE log (reaction TEXT, key TEXT, n INTEGER)'))
        for (const [n, { key, waitMs }] of steps.entries()) {
          await w.publish(Asked({ id: key, n }))
          if (waitMs > 0) await w.advance(waitMs)
        }
        await w.advance('10m')
        const found = await rows(w.app, oracle, 'SELECT reaction, key, n FROM log ORDER BY rowid')
        for (const reaction of ['plain', 'calling', 'batch'])
          for (const key of ['a', 'b', 'c', 'd'])
            assert.deepEqual(
              found.filter((row) => row['reaction'] === reaction && row['key'] === key).map((row) => row['n']),
              [...steps.keys()].filter((n) => steps[n]!.key === key),
              `${reaction} ${key}`,
            )
        assert.equal((await w.app.health()).readers[0]!.waiting, 0)
      },
    ),
    { numRuns: 40 },
  )
})
