/** Declarations that can not work are refused where they are written, with the reason. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import * as z from 'zod'
import { event, type AnyContract } from '../../src/contracts/index.ts'
import { choreography, service, type Service } from '../../src/service/index.ts'

const plain = <Type extends string>(type: Type) =>
  event(type, { key: 'id', schema: z.object({ id: z.string(), n: z.number() }) })
const [A, B, C] = [plain('a'), plain('b'), plain('c')]
const run = () => {}
/** What JavaScript, or a cast, can hand in. */
const untyped = (name = 's') =>
  service(name) as unknown as Record<
    'on' | 'all' | 'deadline',
    (trigger: unknown, options: unknown, handler?: unknown) => Service
  >

function refused(declare: () => unknown, code: string, reason: RegExp): void {
  assert.throws(declare, (error: Error & { code?: string }) => {
    assert.equal(error.code, code, error.message)
    assert.match(error.message, reason)
    return true
  })
}

test('names of services', () => {
  for (const name of ['', '-a', 'a b', 'a|b', 'ä', 'x'.repeat(101)])
    refused(() => service(name), 'SERVICE_INVALID', /1 to 100/)
  for (const name of ['a', '0', 'A.b_c-d', 'x'.repeat(100)]) assert.equal(service(name).name, name)
})

test('two reactions of one name, given or taken from the trigger', () => {
  const one = service('s').on(A, run)
  refused(() => one.on(A, run), 'REACTION_NAME_TAKEN', /service s has two reactions called a/)
  one.on(A, { name: 'second' }, run).on(A.where({ n: 1 }), run)
  refused(() => one.on(B, { name: 'second' }, run), 'REACTION_NAME_TAKEN', /second/)
  refused(() => one.on(A.where({ n: 1 }), run), 'REACTION_NAME_TAKEN', /a\{n=1\}/)
  const others = service('s')
    .all([A, B], {}, run)
    .deadline(A, { unless: [B], within: '1m' }, run)
  refused(() => others.all([A, B], {}, run), 'REACTION_NAME_TAKEN', /a\+b/)
  refused(() => others.deadline(A, { unless: [C], within: '2m' }, run), 'REACTION_NAME_TAKEN', /deadline of a/)
  assert.equal(one.reactions.length, 3, 'a refused reaction leaves nothing behind')
})

test('names of reactions', () => {
  for (const name of ['', 'a|b', 'a\nb', 'x'.repeat(201)]) {
    refused(() => service('s').on(A, { name }, run), 'REACTION_INVALID', /1 to 200 printable characters/)
  }
  service('s').on(A, { name: 'Zahlung für {äöü} + more' }, run)
  const long = Array.from({ length: 16 }, (_, index) => plain(`${'long'.repeat(20)}${index}`))
  refused(() => service('s').all(long, {}, run), 'REACTION_INVALID', /give it a `name`/)
  assert.equal(service('s').all(long, { name: 'short' }, run).reactions[0]!.name, 'short')
})

test('triggers, emits and handlers that are none', () => {
  for (const trigger of [null, undefined, 'a', {}, { type: 'a' }]) {
    refused(() => untyped().on(trigger, { name: 'r' }, run), 'REACTION_INVALID', /its trigger is not an event contract/)
    refused(
      () => untyped().all([A, trigger], { name: 'r' }, run),
      'REACTION_INVALID',
      /its part is not an event contract/,
    )
    refused(
      () => untyped().deadline(A, { name: 'r', within: 1, unless: [trigger] }, run),
      'REACTION_INVALID',
      /its unless/,
    )
    const undo = { on: [trigger], run }
    refused(() => untyped().on(A, { name: 'r', undo }, run), 'REACTION_INVALID', /its undo is not an event contract/)
  }
  const wrongEmits: unknown[] = [A.where({ n: 1 }), 'a', null, undefined, () => A({ id: '1', n: 1 })]
  for (const emits of wrongEmits) {
    refused(() => untyped().on(A, { emits: [emits] }, run), 'REACTION_INVALID', /`emits` takes contracts/)
    const undo = { on: [B], emits: [emits as AnyContract], run }
    refused(() => untyped().on(A, { undo }, run), 'REACTION_INVALID', /`emits` takes contracts/)
  }
  refused(() => untyped().on(A, {}), 'REACTION_INVALID', /the handler is missing/)
  refused(() => untyped().all([A, B], {}), 'REACTION_INVALID', /the handler is missing/)
  refused(() => untyped().on(A, { undo: { on: [B] } }, run), 'REACTION_INVALID', /`undo.run` is missing/)
  for (const [option, value] of Object.entries({ call: 'now', filter: true })) {
    refused(
      () => untyped().on(A, { [option]: value }, run),
      'REACTION_INVALID',
      new RegExp(`\`${option}\` is not a function`),
    )
  }
  refused(
    () => untyped().on(A, { undo: { on: [B], run, call: 5 } }, run),
    'REACTION_INVALID',
    /`undo.call` is not a function/,
  )
  refused(() => untyped().all([A, B], { within: 5, late: 5 }, run), 'REACTION_INVALID', /`late` is not a function/)
  refused(() => untyped().on(A, { from: 'yesterday' }, run), 'REACTION_INVALID', /`from` must be/)
})

test('batch and coalesce go with nothing that is about one event', () => {
  const call = () => 1
  const undo = { on: [B], run }
  const batch = { size: 10 }
  const coalesce = { within: '1s' } as const
  for (const other of [{ call }, { undo }, { coalesce }]) {
    refused(() => untyped().on(A, { batch, ...other }, run), 'REACTION_INVALID', /`batch` can not be combined/)
  }
  for (const other of [{ call }, { undo }]) {
    refused(() => untyped().on(A, { coalesce, ...other }, run), 'REACTION_INVALID', /`coalesce` can not be combined/)
  }
  for (const size of [0, -1, 1.5, 1_001, NaN, '5']) {
    refused(() => untyped().on(A, { batch: { size } }, run), 'REACTION_INVALID', /batch.size must be 1 to 1000/)
  }
  refused(
    () => untyped().on(A, { batch: { size: 1, within: 'soon' } }, run),
    'DURATION_INVALID',
    /batch.within of s\/a/,
  )
  refused(() => untyped().on(A, { coalesce: {} }, run), 'DURATION_INVALID', /coalesce.within of s\/a/)
  service('s')
    .on(A, { batch: { size: 1_000, within: 0 } }, run)
    .on(B, { coalesce }, run)
})

test('undo, joins and deadlines need what they are about', () => {
  refused(() => service('s').on(A, { undo: { on: [], run } }, run), 'REACTION_INVALID', /`undo.on` names no event/)
  const parts = Array.from({ length: 17 }, (_, index) => plain(`p${index}`))
  for (const triggers of [[], [A], parts]) {
    refused(() => service('s').all(triggers, { name: 'j' }, run), 'REACTION_INVALID', /2 to 16 parts/)
  }
  service('s').all(parts.slice(0, 16), { name: 'j' }, run)
  refused(() => service('s').all([A, B, A], {}, run), 'REACTION_INVALID', /names a twice/)
  service('s').all([A.where({ n: 1 }), A.where({ n: 2 })], {}, run)
  refused(() => service('s').all([A, B], { within: '1m' }, run), 'REACTION_INVALID', /`within` and `late` go together/)
  refused(() => service('s').all([A, B], { late: run }, run), 'REACTION_INVALID', /`within` and `late` go together/)
  refused(
    () => service('s').deadline(A, { unless: [], within: '1m' }, run),
    'REACTION_INVALID',
    /at least one `unless`/,
  )
  refused(
    () => service('s').deadline(A, { unless: [B], within: '1 m' as '1m' }, run),
    'DURATION_INVALID',
    /within of s\/deadline of a/,
  )
  refused(() => service('s').all([A, B], { within: -1, late: run }, run), 'DURATION_INVALID', /within of s\/a\+b/)
})

test('policies that make no sense, on a service and on a reaction', () => {
  const wrong: [object, string, RegExp][] = [
    [{ retry: { attempts: 0 } }, 'OPTION_INVALID', /retry.attempts.*at least 1/],
    [{ retry: { attempts: 1.5 } }, 'OPTION_INVALID', /retry.attempts/],
    [{ retry: { attempts: 1_001 } }, 'OPTION_INVALID', /retry.attempts.*at most 1000/],
    [{ retry: { factor: 0.5 } }, 'OPTION_INVALID', /retry.factor/],
    [{ retry: { base: '1x' } }, 'DURATION_INVALID', /retry.base/],
    [{ retry: { max: -1 } }, 'DURATION_INVALID', /retry.max/],
    [{ retry: 5 }, 'OPTION_INVALID', /retry.*an object/],
    [{ errors: { Timeout: 'ignore' } }, 'OPTION_INVALID', /retry.*an object/],
    [{ errors: { Timeout: { attempts: 0 } } }, 'OPTION_INVALID', /retry.attempts/],
    [{ onDead: 'stop' }, 'OPTION_INVALID', /onDead.*'continue' or 'hold'/],
    [{ concurrency: 0 }, 'OPTION_INVALID', /concurrency/],
    [{ rate: { limit: 0, per: '1s' } }, 'OPTION_INVALID', /rate.limit/],
    [{ rate: { limit: 1, per: 's' } }, 'DURATION_INVALID', /rate.per/],
    [{ breaker: { failures: 0 } }, 'OPTION_INVALID', /breaker.failures/],
    [{ breaker: { pause: 'x' } }, 'DURATION_INVALID', /breaker.pause /],
    [{ breaker: { pauseMax: 'x' } }, 'DURATION_INVALID', /breaker.pauseMax/],
    [{ callTimeout: '' }, 'DURATION_INVALID', /callTimeout/],
    [{ maxHops: -1 }, 'OPTION_INVALID', /maxHops/],
    [{ retries: 3 }, 'OPTION_INVALID', /retries.*retry, errors/],
  ]
  for (const [policy, code, reason] of wrong) {
    refused(() => service('s', policy), code, reason)
    refused(() => service('s').on(A, policy, run), code, reason)
    refused(() => service('s').all([A, B], policy, run), code, reason)
    refused(() => service('s').deadline(A, { unless: [B], within: 1, ...policy }, run), code, reason)
  }
})

test('choreographies without what makes them one', () => {
  const one = service('one').on(A, { emits: [B] }, run)
  const fine = { services: [one], starts: [A], ends: { success: [B], failure: [C] }, within: '15m' } as const
  assert.equal(choreography('x', fine).withinMs, 900_000)
  const wrong: [object, RegExp][] = [
    [{ services: [] }, /no services/],
    [{ starts: [] }, /no start/],
    [{ ends: { success: [] } }, /no successful end/],
    [{ services: [one, service('two'), service('one')] }, /two services are called one/],
    [{ starts: ['a'] }, /not an event contract/],
    [{ ends: { success: [B, undefined] } }, /not an event contract/],
    [{ ends: { success: [B], failure: [{}] } }, /not an event contract/],
  ]
  for (const [change, reason] of wrong) {
    refused(() => choreography('x', { ...fine, ...change }), 'CHOREOGRAPHY_INVALID', reason)
  }
  refused(() => choreography('', fine), 'CHOREOGRAPHY_INVALID', /its name/)
  refused(() => choreography('x', { ...fine, within: 'soon' as '1s' }), 'DURATION_INVALID', /within of x/)
})
