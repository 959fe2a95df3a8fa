/** Versions: events of any version are read as the latest; what can not be read says why. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import * as v from 'valibot'
import * as z from 'zod'
import { type } from 'arktype'
import { decodeData, event } from '../../src/contracts/index.ts'

/** Three versions with three libraries: an amount in text, in units with a currency, in minor units. */
const Paid = event('paid', { key: 'id', schema: z.object({ id: z.string(), amount: z.string() }) })
  .version(2, {
    schema: v.object({ id: v.string(), amount: v.number(), currency: v.optional(v.string(), 'EUR') }),
    upcast: ({ id, amount }) => ({ id, amount: Number(amount) }),
  })
  .version(3, {
    schema: type({ id: 'string', minor: 'number.integer', currency: 'string' }),
    upcast: ({ id, amount, currency }) => ({ id, minor: Math.round(amount * 100), currency }),
  })
const read = (version: number, data: unknown) => decodeData(Paid, { type: 'paid', version, data: JSON.stringify(data) })

test('every valid event of version 1, 2 or 3 is read as version 3', () => {
  const payment = fc.record({
    id: fc.string({ minLength: 1 }),
    minor: fc.integer({ min: -(10 ** 9), max: 10 ** 9 }),
    currency: fc.string(),
    extra: fc.dictionary(fc.string({ minLength: 9 }), fc.jsonValue()),
  })
  fc.assert(
    fc.property(payment, ({ id, minor, currency, extra }) => {
      const amount = minor / 100
      const read3 = (version: number, data: object) => {
        const { id, minor, currency } = read(version, { ...extra, ...data }) as Record<string, unknown>
        return { id, minor, currency }
      }
      const plain = minor === 0 ? 0 : minor
      assert.deepEqual(read3(1, { id, amount: String(amount) }), { id, minor: plain, currency: 'EUR' })
      assert.deepEqual(read3(2, { id, amount, currency }), { id, minor: plain, currency })
      assert.deepEqual(read3(3, { id, minor, currency }), { id, minor: plain, currency })
    }),
  )
})

test('new events have the latest version and its type', () => {
  const made = Paid({ id: '1', minor: 250, currency: 'CHF' })
  assert.equal(made.version, 3)
  assert.equal(Paid.latest, 3)
  assert.deepEqual(
    Paid.versions.map((each) => each.version),
    [1, 2, 3],
  )
  assert.throws(() => Paid({ id: '1', amount: '2' } as never), { code: 'EVENT_INVALID', message: /paid v3/ })
})

test('a version that does not follow the one before, or has no upcast, is refused', () => {
  const schema = z.object({ id: z.string(), amount: z.string() })
  const upcast = (before: { id: string; amount: string }) => before
  const First = event('paid', { key: 'id', schema })
  fc.assert(
    fc.property(
      fc.oneof(fc.integer(), fc.double(), fc.constant(NaN)).filter((n) => n !== 2),
      (n) => {
        assert.throws(() => First.version(n, { schema, upcast }), {
          code: 'CONTRACT_INVALID',
          message: /does not follow/,
        })
      },
    ),
  )
  assert.throws(() => First.version(2, { schema, upcast: undefined as never }), { message: /needs an `upcast`/ })
  assert.throws(() => First.version(2, { schema: {} as typeof schema, upcast }), { message: /schema of v2/ })
  assert.equal(First.latest, 1, 'a contract is not changed by its next version')
})

test('a version nobody knows is refused, and the known ones are named', () => {
  for (const version of [0, 4, -1, 1.5, NaN]) {
    assert.throws(() => read(version, { id: '1' }), { code: 'EVENT_VERSION_UNKNOWN', message: /\(1, 2, 3\)/ })
  }
})

test('data is checked by the schema of its own version, and by that of every later one', () => {
  assert.throws(() => read(1, { id: '1', amount: 5 }), { code: 'EVENT_INVALID', message: /paid v1.*amount/ })
  assert.throws(() => read(2, { id: '1', amount: '5' }), { code: 'EVENT_INVALID', message: /paid v2.*amount/ })
  assert.throws(() => read(1, { id: '1', amount: 'five' }), { code: 'EVENT_INVALID', message: /paid v2.*amount/ })
})

test('an upcast that throws is UPCAST_FAILED with the versions and the cause, whatever it throws', () => {
  const schema = z.object({ id: z.string() })
  const invalid = (): never => Paid({} as never) as never
  const thrown: [() => never, RegExp][] = [
    [() => assert.fail('no such thing'), /from v1 to v2 threw: no such thing/],
    [invalid, /from v1 to v2 threw: EVENT_INVALID/],
    [
      () => {
        throw 'a text' // eslint-disable-line
      },
      /threw: a text/,
    ],
  ]
  for (const [upcast, message] of thrown) {
    const Fails = event('fails', { key: 'id', schema }).version(2, { schema, upcast })
    assert.throws(
      () => decodeData(Fails, { type: 'fails', version: 1, data: '{"id":"1"}' }),
      (error: Error & { code: string }) => {
        assert.equal(error.code, 'UPCAST_FAILED')
        assert.match(error.message, message)
        assert.ok(error.cause !== undefined)
        return true
      },
    )
  }
})

test('text that is not JSON is EVENT_UNDECODABLE with the reason', () => {
  for (const data of ['', '{', 'undefined', '{"id":1}}', '\u0000']) {
    assert.throws(() => decodeData(Paid, { type: 'paid', version: 1, data }), {
      code: 'EVENT_UNDECODABLE',
      message: /the data is not JSON/,
    })
  }
})

test('what a schema makes is frozen too: objects it has frozen halfway, but no instances of classes', () => {
  const schema = z
    .object({
      id: z.string(),
      list: z.array(z.object({ n: z.number() })).readonly(),
      at: z.coerce.date(),
      raw: z.string(),
    })
    .transform((data) => ({ ...data, bytes: Buffer.from(data.raw) }))
    .readonly()
  const Mixed = event('mixed', { key: 'id', schema })
  const data = decodeData(Mixed, { type: 'mixed', version: 1, data: '{"id":"1","list":[{"n":1}],"at":0,"raw":"x"}' })
  const { list, at, bytes } = data as { list: { n: number }[]; at: Date; bytes: Buffer }
  assert.throws(() => (list[0]!.n = 2), TypeError)
  assert.equal(at.getTime(), 0)
  assert.equal(bytes.toString(), 'x')
})

test('a circle made by a transformation ends the freezing, not the process', () => {
  const schema = z.object({ id: z.string() }).transform((data) => {
    const node: { id: string; self?: object } = { ...data }
    node.self = node
    return node
  })
  const Circle = event('circle', { key: 'id', schema })
  const data = decodeData(Circle, { type: 'circle', version: 1, data: '{"id":"1"}' })
  assert.ok(Object.isFrozen(data))
})
