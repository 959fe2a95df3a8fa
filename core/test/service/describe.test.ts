/** Declarations can be read back as plain JSON data, complete, with the place where they were written. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import * as z from 'zod'
import { event } from '../../src/contracts/index.ts'
import { choreography, emitsOf, service, triggersOf, effectivePolicy } from '../../src/service/index.ts'

const schema = z.object({ id: z.string(), status: z.enum(['ok', 'no']) })
const [A, B, C] = [
  event('a', { key: 'id', schema }),
  event('b', { key: 'id', schema }),
  event('c', { key: 'id', schema }),
]
const run = () => {}
const here = fileURLToPath(import.meta.url)
const source = readFileSync(here, 'utf8').split('\n')
/** `file:line` of the line that ends with this comment. */
const placeOf = (mark: string): string => `${here}:${source.findIndex((line) => line.endsWith(`// ${mark}`)) + 1}`

const shop = service('shop', { db: { name: 'own', open: () => ({}) }, concurrency: 3, callTimeout: '5s' })
  .on(A, run) // plain
  .on(
    A.where({ status: 'no' }),
    {
      name: 'full',
      emits: [B],
      filter: () => true,
      call: () => 1,
      undo: { on: [B.where({ status: 'no' }), C], emits: [C, B], call: () => 2, run },
      from: 'now',
      replay: true,
      retry: { attempts: 2, base: '1s' },
      errors: { Bad: 'dead' },
      rate: { limit: 5, per: '1s' },
      breaker: true,
      onDead: 'hold',
    },
    run,
  )
  .on(B, { batch: { size: 10, within: '50ms' } }, run)
  .on(C, { coalesce: { within: '2s' } }, run)
  .all([A, B.where({ status: 'ok' })], { within: '15m', late: run, emits: [C], batch: { size: 5 } }, run) // join
  .deadline(A, { unless: [B, C.where({ status: 'ok' })], within: '1h', from: 'beginning' }, run) // deadline
const described = shop.describe()
const byName = (name: string) => described.reactions.find((reaction) => reaction.name === name)!
const trigger = (type: string, status?: string) => ({
  type,
  key: 'id',
  pattern: status === undefined ? null : { status },
})

test('a description is plain JSON: it is the same after a round trip, and nothing in it is undefined', () => {
  const ends = { success: [B.where({ status: 'ok' })], failure: [C] }
  const external = [{ name: 'bank', consumes: [A], emits: [B] }]
  const whole = choreography('all', { services: [shop], starts: [A], ends, within: '1h', external }) // whole
  for (const description of [described, whole.describe()]) {
    assert.deepEqual(JSON.parse(JSON.stringify(description)), description)
  }
  assert.deepEqual(
    { ...whole.describe(), services: [] },
    {
      name: 'all',
      services: [],
      starts: [trigger('a')],
      ends: { success: [trigger('b', 'ok')], failure: [trigger('c')] },
      withinMs: 3_600_000,
      external: [{ name: 'bank', consumes: [trigger('a')], emits: ['b'] }],
      place: placeOf('whole'),
    },
  )
  const open = choreography('open', { services: [shop], starts: [A], ends: { success: [B] } })
  assert.deepEqual([open.describe().withinMs, open.describe().ends.failure], [null, []])
})

test('a service says its name, its database, and its reactions in the order of their declaration', () => {
  assert.equal(described.name, 'shop')
  assert.equal(described.db, 'own')
  assert.deepEqual(
    described.reactions.map(({ service, name, kind }) => [service, name, kind]),
    [
      ['shop', 'a', 'on'],
      ['shop', 'full', 'on'],
      ['shop', 'b', 'on'],
      ['shop', 'c', 'on'],
      ['shop', 'a+b{status=ok}', 'all'],
      ['shop', 'deadline of a', 'deadline'],
    ],
  )
  assert.deepEqual(service('empty').describe(), { name: 'empty', db: null, reactions: [] })
})

test('every option of a reaction is in its description', () => {
  const { policy, place: _, ...full } = byName('full')
  assert.deepEqual(full, {
    service: 'shop',
    name: 'full',
    kind: 'on',
    triggers: [trigger('a', 'no')],
    emits: ['b'],
    handler: '',
    calls: true,
    call: { usesKey: null, swallowsErrors: false },
    filtered: true,
    undo: {
      on: [trigger('b', 'no'), trigger('c')],
      emits: ['c', 'b'],
      calls: true,
      call: { usesKey: null, swallowsErrors: false },
    },
    unless: [],
    withinMs: null,
    batch: null,
    coalesceMs: null,
    from: 'now',
    replay: true,
  })
  const { origins, ...values } = policy
  assert.deepEqual(values, {
    retry: { attempts: 2, baseMs: 1_000, maxMs: 60_000, factor: 2 },
    errors: { Bad: 'dead' },
    onDead: 'hold',
    concurrency: 3,
    rate: { limit: 5, perMs: 1_000 },
    breaker: { failures: 10, pauseMs: 5_000, pauseMaxMs: 60_000 },
    callTimeoutMs: 5_000,
    maxHops: 25,
  })
  assert.deepEqual(origins, {
    retry: 'reaction',
    errors: 'reaction',
    onDead: 'reaction',
    concurrency: 'service',
    rate: 'reaction',
    breaker: 'reaction',
    callTimeoutMs: 'service',
    maxHops: 'default',
  })
  assert.deepEqual(byName('b').batch, { size: 10, withinMs: 50 })
  assert.equal(byName('c').coalesceMs, 2_000)
  const plain = byName('a')
  assert.deepEqual(
    [plain.calls, plain.filtered, plain.undo, plain.batch, plain.coalesceMs, plain.from, plain.replay, plain.emits],
    [false, false, null, null, null, null, false, []],
  )
})

test('joins and deadlines say what they wait for, and how long', () => {
  const join = byName('a+b{status=ok}')
  assert.deepEqual([join.triggers, join.withinMs, join.emits], [[trigger('a'), trigger('b', 'ok')], 900_000, ['c']])
  const deadline = byName('deadline of a')
  assert.deepEqual([deadline.triggers, deadline.unless], [[trigger('a')], [trigger('b'), trigger('c', 'ok')]])
  assert.deepEqual([deadline.withinMs, deadline.from], [3_600_000, 'beginning'])
})

test('a policy that is described is the one that is in force', () => {
  const reaction = shop.reactions.find((each) => each.name === 'full')!
  assert.deepEqual(
    byName('full').policy,
    effectivePolicy({ service: shop.policy, reaction: reaction.policy }, 'shop/full'),
  )
})

test('the place of a reaction is the file and line of the user', () => {
  assert.equal(byName('a').place, placeOf('plain'))
  assert.equal(byName('a+b{status=ok}').place, placeOf('join'))
  assert.equal(byName('deadline of a').place, placeOf('deadline'))
  const helper = () => service('helped').on(A, run) // helper
  assert.equal(helper().reactions[0]!.place, placeOf('helper'))
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    assert.equal(service('blind').on(A, run).reactions[0]!.place, '')
  } finally {
    Error.stackTraceLimit = limit
  }
})

test('roles and emitted events of a reaction can be listed', () => {
  const roles = (name: string) =>
    triggersOf(shop.reactions.find((each) => each.name === name)!).map(({ role, trigger, index }) => [
      role,
      trigger.type,
      index,
    ])
  assert.deepEqual(roles('full'), [
    ['trigger', 'a', 0],
    ['undo', 'b', 0],
    ['undo', 'c', 1],
  ])
  assert.deepEqual(roles('a+b{status=ok}'), [
    ['part', 'a', 0],
    ['part', 'b', 1],
  ])
  assert.deepEqual(roles('deadline of a'), [
    ['start', 'a', 0],
    ['unless', 'b', 0],
    ['unless', 'c', 1],
  ])
  assert.deepEqual(
    emitsOf(shop.reactions[1]!).map((contract) => contract.type),
    ['b', 'c', 'b'],
  )
})
