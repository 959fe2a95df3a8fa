/** A contract makes events: validated, with defaults and transformations, whatever the schema library. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { type } from 'arktype'
import * as v from 'valibot'
import * as z from 'zod'
import { isQuadrilleError } from '../../src/base/index.ts'
import { decodeData, event, isEmitted, type AnyContract, type StandardSchema } from '../../src/contracts/index.ts'
import { orderSchemas } from './vendors.ts'

const input = { orderId: 'o-1', items: [{ quantity: 2 }], total: '12.50' }
const invalid =
  (check: (details: { issues: { path: string; message: string }[]; value: string }) => void) => (error: unknown) => {
    assert.equal((error as { code: string }).code, 'EVENT_INVALID')
    check((error as { details: never }).details)
    return true
  }
/** What a reader of the event gets. */
const read = (made: { contract: AnyContract; type: string; version: number; payload: unknown }) =>
  decodeData(made.contract, { ...made, data: JSON.stringify(made.payload) })

for (const [vendor, schema] of Object.entries(orderSchemas)) {
  const OrderCreated = event('order.created', { key: 'orderId', schema })

  test(`${vendor}: an event has its type, version and key; the wire gets the input form, a reader the output form`, () => {
    const made = OrderCreated(input)
    assert.ok(isEmitted(made))
    assert.equal(made.type, 'order.created')
    assert.equal(made.version, 1)
    assert.equal(made.key, 'o-1')
    assert.equal(made.contract, OrderCreated)
    assert.deepEqual(made.payload, input)
    assert.deepEqual({ ...made.data }, { ...input, total: 12.5, note: '' })
    assert.deepEqual(read(made), made.data)
  })

  test(`${vendor}: wrong data is refused with path and value`, () => {
    const wrong = { ...input, items: [{ quantity: 1 }, { quantity: 'many' }] }
    assert.throws(
      () => OrderCreated(wrong as never),
      invalid(({ issues, value }) => {
        assert.deepEqual(
          issues.map((issue) => issue.path),
          ['items.1.quantity'],
        )
        assert.match(issues[0]!.message, /number/i)
        assert.equal(value, '"many"')
      }),
    )
    assert.throws(
      () => OrderCreated({ orderId: 5, items: 'none' } as never),
      invalid(({ issues, value }) => {
        assert.ok(issues.length >= 3, JSON.stringify(issues))
        assert.equal(value, '{"orderId":5,"items":"none"}')
      }),
    )
    for (const nothing of [null, undefined, 'text', 5, []]) {
      assert.throws(() => OrderCreated(nothing as never), { code: 'EVENT_INVALID' })
    }
  })

  test(`${vendor}: fields that the contract does not know stay on the wire and do not disturb a reader`, () => {
    const made = OrderCreated({ ...input, coupon: 'XMAS' } as never)
    assert.equal((made.payload as { coupon: string }).coupon, 'XMAS')
    assert.equal((read(made) as { total: number }).total, 12.5)
  })

  test(`${vendor}: what a reader gets is frozen all the way down`, () => {
    const data = read(OrderCreated(input)) as { note: string; items: { quantity: number }[] }
    assert.throws(() => (data.note = 'x'), TypeError)
    assert.throws(() => data.items.push({ quantity: 1 }), TypeError)
    assert.throws(() => (data.items[0]!.quantity = 9), TypeError)
  })

  test(`${vendor}: the data of the caller is neither changed nor frozen`, () => {
    const mine = structuredClone(input)
    OrderCreated(mine)
    assert.deepEqual(mine, input)
    mine.items.push({ quantity: 5 })
  })
}

const asynchronous: Record<string, StandardSchema<{ id: string }>> = {
  zod: z.object({ id: z.string().refine(async () => true) }),
  valibot: v.objectAsync({
    id: v.pipeAsync(
      v.string(),
      v.checkAsync(async () => true),
    ),
  }) as unknown as StandardSchema<{
    id: string
  }>,
  'a schema whose promise fails': {
    '~standard': { version: 1, vendor: 'own', validate: () => Promise.reject(new Error('late')) },
  },
}
for (const [vendor, schema] of Object.entries(asynchronous)) {
  test(`${vendor}: a schema that validates asynchronously is refused, when making and when reading`, async () => {
    const Slow = event('slow', { key: 'id', schema })
    const expected = { code: 'CONTRACT_INVALID', message: /asynchronously/ }
    assert.throws(() => Slow({ id: '1' }), expected)
    assert.throws(() => decodeData(Slow, { type: 'slow', version: 1, data: '{"id":"1"}' }), expected)
    await new Promise((resolve) => setImmediate(resolve))
  })
}

test('a schema that throws is an invalid event with the reason, not a crash; zod makes a promise of it', async () => {
  const check = (id: string): boolean => (id as unknown as { no: { such: boolean } }).no.such
  const schemas: [StandardSchema<{ id: string }>, object][] = [
    [
      v.object({ id: v.pipe(v.string(), v.check(check)) }),
      { code: 'EVENT_INVALID', message: /the schema threw TypeError/ },
    ],
    [z.object({ id: z.string().refine(check) }), { code: 'CONTRACT_INVALID', message: /or one of its checks threw/ }],
  ]
  for (const [schema, expected] of schemas) {
    const Broken = event('broken', { key: 'id', schema })
    assert.throws(() => Broken({ id: '1' }), expected)
    assert.throws(() => decodeData(Broken, { type: 'broken', version: 1, data: '{"id":"1"}' }), expected)
  }
  await new Promise((resolve) => setImmediate(resolve))
})

test('what is validated is what JSON carries, so that no event is made that no reader can read', () => {
  const At = event('at', { key: 'id', schema: z.object({ id: z.string(), at: z.date() }) })
  assert.throws(
    () => At({ id: '1', at: new Date(0) }),
    invalid(({ issues, value }) => {
      assert.equal(issues[0]!.path, 'at')
      assert.equal(value, '"1970-01-01T00:00:00.000Z"')
    }),
  )
  const Coerced = event('at', { key: 'id', schema: z.object({ id: z.string(), at: z.coerce.date() }) })
  const made = Coerced({ id: '1', at: new Date(0) })
  assert.deepEqual(made.payload, { id: '1', at: '1970-01-01T00:00:00.000Z' })
  assert.deepEqual(made.data, { id: '1', at: new Date(0) })
  assert.deepEqual(read(made), made.data)

  const Any = event('any', { key: 'id', schema: z.object({ id: z.string(), x: z.unknown() }) })
  const circle: { self?: object } = {}
  circle.self = circle
  assert.throws(() => Any({ id: '1', x: [5n] }), {
    code: 'EVENT_INVALID',
    message: /x\.0: is not JSON: a bigint \(got 5\)/,
  })
  assert.throws(() => Any({ id: '1', x: circle }), { code: 'EVENT_INVALID', message: /is not JSON/ })
  class Money {
    readonly amount = 5
  }
  const cases: [unknown, unknown][] = [
    [NaN, null],
    [
      [1, undefined],
      [1, null],
    ],
    [new Money(), { amount: 5 }],
    [new Map([[1, 2]]), {}],
    [{ toJSON: () => 'mine' }, 'mine'],
  ]
  for (const [x, carried] of cases) assert.deepEqual(Any({ id: '1', x }).data.x, carried)
  const absent = Any({ id: '1', x: undefined })
  assert.equal(JSON.stringify(absent.payload), '{"id":"1"}')
})

test('a key or an id with a NUL character is refused: not every database can store it', () => {
  const Plain = event('plain', { key: 'id', schema: z.object({ id: z.string(), note: z.string() }) })
  assert.throws(() => Plain({ id: 'a\u0000b', note: '' }), { code: 'EVENT_INVALID', message: /NUL/ })
  assert.throws(() => Plain({ id: 'a', note: '' }, { id: 'x\u0000' }), { code: 'OPTION_INVALID', message: /NUL/ })
  assert.equal(Plain({ id: 'a', note: '\u0000' }).key, 'a')
})

test('a key that a database can not find by, or gives back changed, is refused', () => {
  const Plain = event('plain', { key: 'id', schema: z.object({ id: z.string() }) })
  assert.equal(Plain({ id: '€'.repeat(500) }).key.length, 500)
  assert.throws(() => Plain({ id: 'x'.repeat(501) }), { code: 'EVENT_INVALID', message: /longer than 500 characters/ })
  assert.throws(() => Plain({ id: 'half \ud83d' }), { code: 'EVENT_INVALID', message: /not well-formed Unicode/ })
})

test('the key must be a text that is not empty, also after a transformation', () => {
  const schema = z.object({ id: z.string().transform((id) => id.trim()) })
  const Trimmed = event('trimmed', { key: 'id', schema })
  assert.equal(Trimmed({ id: ' 7 ' }).key, '7')
  assert.throws(() => Trimmed({ id: '  ' }), {
    code: 'EVENT_INVALID',
    message: /id: the key is not a non-empty string/,
  })
  const Elsewhere = event('elsewhere', { key: 'orderId' as 'id', schema: z.object({ id: z.string() }) })
  assert.throws(() => Elsewhere({ id: '1' }), {
    code: 'EVENT_INVALID',
    message: /orderId: the key is not a non-empty string/,
  })
})

test('an id of the caller is kept; one that is no text of 1 to 200 characters is refused', () => {
  const Plain = event('plain', { key: 'id', schema: type({ id: 'string' }) })
  assert.equal(Plain({ id: '1' }).id, undefined)
  assert.equal(Plain({ id: '1' }, { id: 'x'.repeat(200) }).id, 'x'.repeat(200))
  for (const id of ['', 'x'.repeat(201), 5 as never]) {
    assert.throws(() => Plain({ id: '1' }, { id }), { code: 'OPTION_INVALID' })
  }
})

test('a contract that can not be used is refused when it is declared', () => {
  const schema = z.object({ id: z.string() })
  for (const name of ['', '.x', 'a b', 'ä', 'x'.repeat(201), 'a/b']) {
    assert.throws(() => event(name, { key: 'id', schema }), { code: 'CONTRACT_INVALID' })
  }
  assert.throws(() => event('a', { key: '' as 'id', schema }), { code: 'CONTRACT_INVALID', message: /key/ })
  for (const none of [undefined, null, {}, { '~standard': {} }, 'zod']) {
    assert.throws(() => event('a', { key: 'id', schema: none as never }), {
      code: 'CONTRACT_INVALID',
      message: /Standard Schema/,
    })
  }
  const Fine = event('x'.repeat(200), { key: 'id', schema })
  assert.equal(String(Fine), Fine.type)
  assert.throws(() => ((Fine as { key: string }).key = 'other'), TypeError)
})

test('an error about something that JSON has changed says what was handed in', () => {
  const typed = { id: z.string(), at: z.date(), list: z.array(z.map(z.string(), z.number())), n: z.number() }
  const Strict = event('strict', { key: 'id', schema: z.object(typed) })
  const issuesOf = (change: object): readonly string[] => {
    try {
      Strict({ id: '1', at: new Date(0), list: [], n: 1, ...change })
    } catch (error) {
      assert.ok(isQuadrilleError(error, 'EVENT_INVALID'))
      return error.details.issues.map(({ path, message }) => `${path}: ${message}`)
    }
    return []
  }
  const [at] = issuesOf({})
  assert.match(
    at!,
    /^at: .*expected date.* \(a Date was handed in, which becomes a text in JSON; in the schema use z\.iso\./,
  )
  assert.match(issuesOf({ list: [new Map()] })[1]!, /^list\.0: .* \(a Map was handed in, which becomes \{\} in JSON\)$/)
  assert.match(issuesOf({ n: NaN })[1]!, /^n: .* \(NaN was handed in, which becomes null in JSON\)$/)
  assert.match(issuesOf({ n: () => 1 })[1]!, /^n: .* \(a function was handed in, which becomes nothing in JSON\)$/)
  for (const n of ['one', undefined, {}, null]) assert.doesNotMatch(issuesOf({ n })[1]!, /handed in/)
})
