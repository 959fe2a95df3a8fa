/** The types of contracts: right uses compile with the right types, each wrong use is an error. Checked by tsc. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { expectTypeOf } from 'expect-type'
import * as z from 'zod'
import * as v from 'valibot'
import { type } from 'arktype'
import { event } from 'quadrille'
import type { AnyContract, AnyPattern, DataOf, Emitted, EventContract, KeyOf, Narrow, StandardSchema } from 'quadrille'

const card = z.object({ kind: z.enum(['debit', 'credit']), last4: z.string() })
const Paid = event('paid', {
  key: 'id',
  schema: z.discriminatedUnion('status', [
    z.object({ id: z.string(), status: z.literal('success'), card, tries: z.number() }),
    z.object({ id: z.string(), status: z.literal('failed'), reason: z.string().nullable(), final: z.boolean() }),
  ]),
})
const Sent = event('sent', {
  key: 'id',
  schema: z.object({ id: z.string(), total: z.string().transform(Number), note: z.string().default('') }),
})

test('the factory takes the input form, and gives the output form', () => {
  expectTypeOf(Sent).parameter(0).toEqualTypeOf<{ id: string; total: string; note?: string | undefined }>()
  expectTypeOf(Sent({ id: '1', total: '5' })).toEqualTypeOf<
    Emitted<'sent', { id: string; total: number; note: string }>
  >()
  expectTypeOf<DataOf<typeof Sent>>().toEqualTypeOf<{ id: string; total: number; note: string }>()
  const Coerced = event('coerced', {
    key: 'id',
    schema: v.object({ id: v.string(), n: v.pipe(v.string(), v.transform(Number)) }),
  })
  expectTypeOf(Coerced).parameter(0).toEqualTypeOf<{ id: string; n: string }>()
  const Morphed = event('morphed', { key: 'id', schema: type({ id: 'string', n: 'string.numeric.parse' }) })
  expectTypeOf<DataOf<typeof Morphed>>().toEqualTypeOf<{ id: string; n: number }>()
  // @ts-expect-error the output form is not what is handed in
  assert.throws(() => Sent({ id: '1', total: 5 }))
  // @ts-expect-error a field is missing
  assert.throws(() => Sent({ id: '1' }))
  // @ts-expect-error a misspelt field
  Sent({ id: '1', total: '5', totla: 5 })
  // @ts-expect-error an id is a text
  assert.throws(() => Sent({ id: '1', total: '5' }, { id: 5 }))
  // @ts-expect-error an event can not be changed
  assert.throws(() => (Object.freeze(Sent({ id: '1', total: '5' })).key = '2'), TypeError)
})

test('the key is a text that every member of the data has', () => {
  expectTypeOf<KeyOf<{ a: string; b: number; c?: string; d: 'x' | 'y' }>>().toEqualTypeOf<'a' | 'd'>()
  expectTypeOf<KeyOf<{ a: string; b: string } | { b: string; c: string }>>().toEqualTypeOf<'b'>()
  expectTypeOf<KeyOf<{ a: string } | { a: number }>>().toEqualTypeOf<never>()
  expectTypeOf<KeyOf<{ a: string; [other: string]: unknown }>>().toEqualTypeOf<'a'>()
  event('loose', { key: 'id', schema: z.looseObject({ id: z.string() }) })
  event('branded', { key: 'id', schema: z.object({ id: z.string().brand<'OrderId'>() }) })
  const either = z.union([z.object({ a: z.string(), b: z.string() }), z.object({ b: z.string(), c: z.string() })])
  event('either', { key: 'b', schema: either })
  // @ts-expect-error only one member has it
  event('either', { key: 'a', schema: either })
  // @ts-expect-error it may be missing
  event('maybe', { key: 'id', schema: z.object({ id: z.string().optional() }) })
  // @ts-expect-error it is a number after the transformation
  event('transformed', { key: 'id', schema: z.object({ id: z.string().transform(Number) }) })
  // @ts-expect-error a misspelt field
  event('misspelt', { key: 'ID', schema: z.object({ id: z.string() }) })
  // @ts-expect-error there is no key
  assert.throws(() => event('none', { schema: z.object({ id: z.string() }) }))
  // @ts-expect-error not a schema
  assert.throws(() => event('none', { key: 'id', schema: { id: 'string' } }))
})

test('an upcast goes from the output of one version to the input of the next', () => {
  const First = event('v', { key: 'id', schema: z.object({ id: z.string(), n: z.string().transform(Number) }) })
  const second = z.object({ id: z.string(), sum: z.number(), tag: z.string().default('x') })
  const Second = First.version(2, {
    schema: second,
    upcast: (before) => {
      expectTypeOf(before).toEqualTypeOf<{ id: string; n: number }>()
      return { id: before.id, sum: before.n }
    },
  })
  expectTypeOf<DataOf<typeof Second>>().toEqualTypeOf<{ id: string; sum: number; tag: string }>()
  Second.version(3, {
    schema: v.object({ id: v.string() }),
    upcast: ({ id, tag }) => {
      expectTypeOf(tag).toEqualTypeOf<string>()
      return { id }
    },
  })
  // @ts-expect-error the upcast gives what version 2 does not accept
  First.version(2, { schema: second, upcast: ({ id, n }) => ({ id, sum: String(n) }) })
  // @ts-expect-error the upcast leaves a field out
  First.version(2, { schema: second, upcast: ({ id }) => ({ id }) })
  // @ts-expect-error the upcast is missing
  assert.throws(() => First.version(2, { schema: second }))
  // @ts-expect-error an upcast can not wait
  First.version(2, { schema: second, upcast: async ({ id, n }) => ({ id, sum: n }) })
})

test('a pattern narrows unions, also by nested fields', () => {
  const Success = Paid.where({ status: 'success' })
  expectTypeOf<DataOf<typeof Success>['tries']>().toEqualTypeOf<number>()
  const Debit = Paid.where({ status: 'success', card: { kind: 'debit' } })
  expectTypeOf<DataOf<typeof Debit>['card']['kind']>().toEqualTypeOf<'debit'>()
  expectTypeOf<DataOf<typeof Debit>['card']['last4']>().toEqualTypeOf<string>()
  const Final = Paid.where({ final: true })
  expectTypeOf<DataOf<typeof Final>['status']>().toEqualTypeOf<'failed'>()
  expectTypeOf<DataOf<typeof Final>['final']>().toEqualTypeOf<true>()
  const NoReason = Paid.where({ reason: null })
  expectTypeOf<DataOf<typeof NoReason>['reason']>().toEqualTypeOf<null>()
  const Plain = Sent.where({ note: 'gift' })
  expectTypeOf<DataOf<typeof Plain>['total']>().toEqualTypeOf<number>()
  expectTypeOf<Narrow<{ kind: 'a'; x: 1 } | { kind: 'b'; y: 2 }, { readonly kind: 'b' }>['y']>().toEqualTypeOf<2>()
  // @ts-expect-error a value that the field can not have
  Paid.where({ status: 'faild' })
  // @ts-expect-error a field of another type
  Paid.where({ status: 5 })
  // @ts-expect-error a field that no member has
  Paid.where({ state: 'failed' })
  // @ts-expect-error a misspelt field beside a right one
  Paid.where({ status: 'failed', finall: true })
  // @ts-expect-error a nested value that can not be
  Paid.where({ card: { kind: 'gift' } })
  // @ts-expect-error no event is successful and final
  Paid.where({ status: 'success', final: true })
  // @ts-expect-error the data of a failed payment has no card
  expectTypeOf<DataOf<typeof Final>['card']>().toBeObject()
})

test('contracts of any data can stand in one list', () => {
  const contracts: AnyContract[] = [Paid, Sent]
  const patterns: AnyPattern[] = [Paid, Sent, Paid.where({ status: 'failed' })]
  const bare: EventContract[] = [Paid, Sent]
  assert.equal(contracts.length + patterns.length + bare.length, 7)
  // @ts-expect-error a pattern is no contract: nothing can be emitted with it
  const wrong: AnyContract = Paid.where({ status: 'failed' })
  assert.ok(wrong)
})

test('a schema of any library that follows the standard is enough', () => {
  const own: StandardSchema<{ id: string }, { id: string; seen: boolean }> = {
    '~standard': {
      version: 1,
      vendor: 'own',
      validate: (value) => ({ value: { ...(value as { id: string }), seen: true } }),
    },
  }
  const Own = event('own', { key: 'id', schema: own })
  expectTypeOf(Own({ id: '1' }).data).toEqualTypeOf<{ id: string; seen: boolean }>()
  assert.equal(Own({ id: '1' }).data.seen, true)
})
