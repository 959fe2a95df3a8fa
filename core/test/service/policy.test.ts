/** Policies: which level wins, where a value comes from, and how long retries wait. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { backoffMs, effectivePolicy, type FullRetry, type ReactionPolicy, worstCase } from '../../src/service/index.ts'

test('without any policy the defaults are in force, as the documentation says them', () => {
  assert.deepEqual(effectivePolicy({ reaction: {} }, 'x'), {
    retry: { attempts: 8, baseMs: 200, maxMs: 60_000, factor: 2 },
    errors: {},
    onDead: 'continue',
    concurrency: 16,
    rate: null,
    breaker: null,
    callTimeoutMs: 30_000,
    maxHops: 25,
    origins: {
      retry: 'default',
      errors: 'default',
      onDead: 'default',
      concurrency: 'default',
      rate: 'default',
      breaker: 'default',
      callTimeoutMs: 'default',
      maxHops: 'default',
    },
  })
})

test('the nearest level that says something wins, option by option, and is named as origin', () => {
  const levels = ['reaction', 'service', 'app'] as const
  const options = {
    retry: [{ attempts: 1 }, { attempts: 2 }, { attempts: 3 }],
    onDead: ['hold', 'continue', 'hold'],
    concurrency: [1, 2, 3],
    callTimeout: ['1s', '2s', '3s'],
    maxHops: [1, 2, 3],
    breaker: [true, { failures: 2 }, { failures: 3 }],
  } as const
  const names = Object.keys(options) as (keyof typeof options)[]
  const given = fc.record(Object.fromEntries(names.map((name) => [name, fc.subarray([0, 1, 2])])))
  fc.assert(
    fc.property(given, (where) => {
      const policies = levels.map((_, index) =>
        Object.fromEntries(
          names.filter((name) => where[name]!.includes(index)).map((name) => [name, options[name][index]]),
        ),
      ) as ReactionPolicy[]
      const result = effectivePolicy({ reaction: policies[0]!, service: policies[1], app: policies[2] }, 'x')
      for (const name of names) {
        const winner = Math.min(...where[name]!)
        const full = name === 'callTimeout' ? 'callTimeoutMs' : name
        assert.equal(result.origins[full], Number.isFinite(winner) ? levels[winner] : 'default', name)
        const alone = Number.isFinite(winner) ? { [name]: options[name][winner as 0] } : {}
        assert.deepEqual(result[full], effectivePolicy({ reaction: alone }, 'x')[full])
      }
    }),
  )
})

test('what an option leaves out has its default; undefined says nothing', () => {
  const policy = effectivePolicy(
    {
      service: { retry: { base: '1s' }, concurrency: 4, maxHops: 9 },
      reaction: {
        retry: { attempts: 3, base: undefined },
        concurrency: undefined,
        breaker: { failures: 2, pause: undefined },
        rate: { limit: 5, per: '1m' },
        errors: { CardMalformed: 'dead', RateLimited: { attempts: 20 } },
      },
    },
    'x',
  )
  assert.deepEqual(policy.retry, { attempts: 3, baseMs: 200, maxMs: 60_000, factor: 2 })
  assert.deepEqual(policy.breaker, { failures: 2, pauseMs: 5_000, pauseMaxMs: 60_000 })
  assert.deepEqual(policy.rate, { limit: 5, perMs: 60_000 })
  assert.deepEqual(policy.errors, {
    CardMalformed: 'dead',
    RateLimited: { attempts: 20, baseMs: 200, maxMs: 60_000, factor: 2 },
  })
  assert.deepEqual([policy.concurrency, policy.origins.concurrency], [4, 'service'])
  assert.deepEqual([policy.maxHops, policy.origins.maxHops], [9, 'service'])
  assert.equal(effectivePolicy({ service: { breaker: true }, reaction: { breaker: false } }, 'x').breaker, null)
})

const retry: fc.Arbitrary<FullRetry> = fc.record(
  {
    attempts: fc.integer({ min: 1, max: 1_000 }),
    baseMs: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 10 ** 6, noNaN: true })),
    maxMs: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 10 ** 9, noNaN: true })),
    factor: fc.double({ min: 1, max: 100, noNaN: true }),
  },
  { noNullPrototype: true },
)
const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

test('a wait is a whole number of milliseconds between 0 and the longest that the policy allows', () => {
  fc.assert(
    fc.property(retry, fc.integer({ min: 1, max: 1_000 }), share, (policy, attempt, random) => {
      const wait = backoffMs(policy, attempt, random)
      assert.ok(Number.isSafeInteger(wait) && wait >= 0 && wait <= Math.ceil(policy.maxMs), String(wait))
      assert.ok(wait <= backoffMs(policy, attempt, 1))
    }),
  )
})

test('the longest wait never shrinks with the attempts, and is the base before the second', () => {
  fc.assert(
    fc.property(retry, fc.integer({ min: 1, max: 1_000 }), (policy, attempt) => {
      assert.ok(backoffMs(policy, attempt + 1, 1) >= backoffMs(policy, attempt, 1))
      assert.equal(backoffMs(policy, 1, 1), Math.ceil(Math.min(policy.baseMs, policy.maxMs)))
    }),
  )
})

test('all waits together are never longer than the worst case, which is what the longest waits add up to', () => {
  const waitsMsOf = (of: FullRetry) =>
    worstCase({ ...effectivePolicy({ reaction: {} }, 'x'), retry: of }, false).waitsMs
  fc.assert(
    fc.property(retry, fc.infiniteStream(share), (policy, randoms) => {
      let waited = 0
      for (let attempt = 1; attempt < policy.attempts; attempt++)
        waited += backoffMs(policy, attempt, randoms.next().value!)
      assert.ok(waited <= waitsMsOf(policy))
    }),
    { numRuns: 30 },
  )
  const { retry: usual } = effectivePolicy({ reaction: {} }, 'x')
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((attempt) => backoffMs(usual, attempt, 1)),
    [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 60_000],
  )
  assert.equal(waitsMsOf(usual), 25_400)
  assert.equal(waitsMsOf({ ...usual, attempts: 1 }), 0)
})

test('the jitter is full: waits are spread evenly from 0 to the longest', () => {
  const { retry: usual } = effectivePolicy({ reaction: {} }, 'x')
  assert.equal(backoffMs(usual, 3, 0), 0)
  assert.equal(backoffMs(usual, 3, 0.5), 400)
  assert.equal(backoffMs(usual, 3, 0.25), 200)
})
