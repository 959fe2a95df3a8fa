/** Declarations that can not work are refused where they are written, with the reason. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import * as z from 'zod'
import { event, type AnyContract } from '../../src/contracts/index.ts'
import { choreography, effectivePolicy, service, type ReactionPolicy, type Service } from '../../src/service/index.ts'

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
  for (const size of [0, 1_001, '5'])
    refused(() => untyped().all([A, B], { batch: { size } }, run), 'REACTION_INVALID', /batch.size must be 1 to 1000/)
  refused(
    () => untyped().all([A, B], { batch: { size: 5, within: '1s' } }, run),
    'OPTION_INVALID',
    /option batch.within is unknown to s\/a\+b/,
  )
  service('s')
    .all([A, B], { batch: { size: 1_000 } }, run)
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
    [{ errors: null }, 'OPTION_INVALID', /option errors of s.* is null, expected an object/],
    [{ errors: { Timeout: 'ignore' } }, 'OPTION_INVALID', /errors.Timeout of s.* is ignore.*'dead' or a retry policy/],
    [{ errors: { Timeout: { attempts: 0 } } }, 'OPTION_INVALID', /errors.Timeout.attempts/],
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

test('misspelt options are refused with the nearest name and all that there are, one level down too', () => {
  const names = 'emits, from, replay, retry, errors, onDead, concurrency'
  const wrong: [object, string][] = [
    [{ emit: [B] }, `option emit is unknown to s/a (did you mean emits?), expected one of`],
    [{ retires: 3 }, 'option retires is unknown to s/a, expected one of'],
    [
      { retry: { attemps: 3 } },
      'option retry.attemps is unknown to s/a (did you mean attempts?), expected one of attem',
    ],
    [{ retry: { tries: 3 } }, 'option retry.tries is unknown to s/a, expected one of attempts, base, max, factor'],
    [{ breaker: { failure: 3 } }, 'option breaker.failure is unknown to s/a (did you mean failures?)'],
    [{ rate: { limit: 1, pre: '1s' } }, 'option rate.pre is unknown to s/a'],
    [{ errors: { Gone: { attempt: 1 } } }, 'option errors.Gone.attempt is unknown to s/a (did you mean attempts?)'],
    [{ batch: { size: 1, withn: 1 } }, 'option batch.withn is unknown to s/a (did you mean within?)'],
    [{ coalesce: { within: 1, size: 1 } }, 'option coalesce.size is unknown to s/a, expected one of within'],
    [{ undo: { on: [B], run, emit: [C] } }, 'option undo.emit is unknown to s/a (did you mean emits?)'],
  ]
  const saying = (text: string) => new RegExp(text.replaceAll(/[().?]/g, '\\$&'))
  for (const [options, text] of wrong) refused(() => untyped().on(A, options, run), 'OPTION_INVALID', saying(text))
  refused(() => untyped().on(A, { x: 1 }, run), 'OPTION_INVALID', /filter, call, undo, batch, coalesce, name, emits/)
  refused(() => untyped().on(A, { x: 1 }, run), 'OPTION_INVALID', saying(names))
  refused(
    () => untyped().all([A, B], { layte: run }, run),
    'OPTION_INVALID',
    /layte is unknown to s\/a\+b .*mean late\?/,
  )
  refused(
    () => untyped().deadline(A, { unles: [B], within: 1 }, run),
    'OPTION_INVALID',
    /to s\/deadline of a \(did you mean unless\?\), expected one of unless, within, (?!.*(rate|breaker|filter))/,
  )
  refused(() => service('s', { dp: 1 } as object), 'OPTION_INVALID', /dp is unknown to service s.*one of db, retry/)
  refused(() => service('s', { retry: { tries: 3 } } as object), 'OPTION_INVALID', /retry.tries is unknown to s,/)
  // It is looked at although the reaction hides it.
  const app = { retry: { tries: 3 } } as ReactionPolicy
  refused(
    () => effectivePolicy({ app, reaction: { retry: {} } }, 's/a'),
    'OPTION_INVALID',
    /policy.retry.tries .*start\(\)/,
  )
})

test('what has not even the shape of a reaction', () => {
  refused(() => untyped().on(A, undefined), 'REACTION_INVALID', /s\/\.on\(\) can not be used: the handler is missing/)
  refused(() => untyped().on(A, undefined, run), 'OPTION_INVALID', /options of s\/a is undefined, expected an object/)
  refused(() => untyped().on(undefined, run), 'REACTION_INVALID', /s\/\.on\(\) .*its trigger is not an event contract/)
  refused(() => untyped().all(A, {}, run), 'REACTION_INVALID', /s\/\.all\(\) .*not a list, as in \.all\(\[One, Other\]/)
  refused(() => untyped().all([A, B], run), 'REACTION_INVALID', /s\/\.all\(\) .*its options are missing, as in/)
  refused(() => untyped().deadline(A, run), 'REACTION_INVALID', /its options are missing/)
  refused(() => untyped().deadline(A, { within: 1 }, run), 'OPTION_INVALID', /unless of s\/deadline of a is undefined/)
  refused(() => untyped().deadline(A, { unless: [B] }, run), 'DURATION_INVALID', /within of s\/deadline of a/)
  refused(() => untyped().deadline(A, { unless: B, within: 1 }, run), 'OPTION_INVALID', /unless of s.*a list/)
  refused(
    () => untyped().on(A, { emits: B }, run),
    'OPTION_INVALID',
    /emits of s\/a is a function.*a list of contracts/,
  )
  refused(() => untyped().on(A, { undo: { run } }, run), 'OPTION_INVALID', /undo.on of s\/a is undefined.*a list/)
  refused(() => untyped().on(A, { undo: { on: [B], emits: C, run } }, run), 'OPTION_INVALID', /undo.emits of s\/a/)
  refused(() => untyped().on(A, { name: 5 }, run), 'REACTION_INVALID', /give it a `name`/)
  for (const option of ['undo', 'batch', 'coalesce', 'retry'])
    refused(() => untyped().on(A, { [option]: null }, run), 'OPTION_INVALID', new RegExp(`${option} of s/a is null`))
})

test('what would settle or undo itself at once', () => {
  const itself = 'REACTION_INVALID'
  refused(() => service('s').deadline(A, { unless: [B, A], within: 1 }, run), itself, /would be settled at once/)
  refused(() => service('s').deadline(A.where({ n: 1 }), { unless: [A], within: 1 }, run), itself, /settled at once/)
  refused(() => service('s').on(A, { undo: { on: [A], run } }, run), itself, /would be undone at once/)
  const [one, two] = [A.where({ n: 1 }), A.where({ n: 2 })]
  refused(() => service('s').on(one, { undo: { on: [two, one], run } }, run), itself, /undone at once/)
  service('s')
    .deadline(A, { unless: [one], within: 1 }, run)
    .on(one, { undo: { on: [two], run } }, run)
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
