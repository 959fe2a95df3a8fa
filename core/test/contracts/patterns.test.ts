/** `.where()`: which events match, what a pattern may hold, and how it is written as text. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import * as z from 'zod'
import { event, matches, matchesPattern, triggerText, type Pattern } from '../../src/contracts/index.ts'

const card = z.object({ kind: z.enum(['debit', 'credit']), last4: z.string() })
const Paid = event('paid', {
  key: 'id',
  schema: z.discriminatedUnion('status', [
    z.object({ id: z.string(), status: z.literal('success'), card, tries: z.number() }),
    z.object({ id: z.string(), status: z.literal('failed'), reason: z.string().nullable(), final: z.boolean() }),
  ]),
})
const success = { id: '1', status: 'success', card: { kind: 'debit', last4: '0000' }, tries: 1 }
const failed = { id: '1', status: 'failed', reason: null, final: true }

test('events match when every field of the pattern is equal, nested objects field by field', () => {
  const cases: [Parameters<typeof matches>[0], boolean, boolean][] = [
    [Paid, true, true],
    [Paid.where({ status: 'success' }), true, false],
    [Paid.where({ status: 'failed', final: true }), false, true],
    [Paid.where({ status: 'failed', final: false }), false, false],
    [Paid.where({ status: 'failed', reason: null }), false, true],
    [Paid.where({ status: 'success', card: { kind: 'debit' } }), true, false],
    [Paid.where({ status: 'success', card: { kind: 'credit' } }), false, false],
    [Paid.where({ status: 'success', tries: 1 }), true, false],
  ]
  for (const [trigger, first, second] of cases) {
    assert.equal(matches(trigger, success), first, triggerText(trigger))
    assert.equal(matches(trigger, failed), second, triggerText(trigger))
  }
})

test('a value matches itself as a pattern, and no longer when one field of it is changed', () => {
  const leaf = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null))
  const { pattern } = fc.letrec<{ pattern: Pattern }>((tie) => ({
    pattern: fc.dictionary(fc.string(), fc.oneof(leaf, tie('pattern')), { minKeys: 1, maxKeys: 4 }),
  }))
  fc.assert(
    fc.property(pattern, fc.anything(), (wanted, extra) => {
      const data = { ...structuredClone(wanted), [Symbol('other')]: extra }
      assert.ok(matchesPattern(wanted, data))
      for (const field of Object.keys(wanted))
        assert.ok(!matchesPattern({ [field]: 'another value' }, { ...data, [field]: 'value' }))
    }),
  )
  for (const nothing of [null, undefined, 5, 'text']) assert.equal(matchesPattern({ a: 1 }, nothing), false)
})

test('a pattern is data: frozen, a copy, equal after JSON, and carries its contract', () => {
  const mine = { status: 'success', card: { kind: 'debit' } } as const
  const Debit = Paid.where(mine)
  assert.deepEqual(JSON.parse(JSON.stringify(Debit.pattern)), mine)
  assert.equal(Debit.contract, Paid)
  assert.equal(Debit.type, 'paid')
  assert.ok(Object.isFrozen(Debit) && Object.isFrozen(Debit.pattern) && Object.isFrozen(Debit.pattern!['card']))
  assert.ok(!Object.isFrozen(mine))
})

test('values that are no data are refused, with the place in the pattern', () => {
  const loose = event('loose', { key: 'id', schema: z.object({ id: z.string() }).loose() })
  const wrong: [unknown, RegExp][] = [
    [{ a: undefined }, /at a is a undefined/],
    [{ a: { b: () => true } }, /at a\.b is a function/],
    [{ a: 5n }, /at a is a bigint/],
    [{ a: NaN }, /at a is NaN/],
    [{ a: new Date(0) }, /at a is not a plain object/],
    [{ a: [1] }, /at a is not a plain object/],
    [null, /is not an object/],
    ['text', /is not an object/],
  ]
  for (const [pattern, message] of wrong) {
    assert.throws(() => loose.where(pattern as never), { code: 'CONTRACT_INVALID', message })
  }
})

test('the text of a trigger names type and pattern', () => {
  assert.equal(triggerText(Paid), 'paid')
  const nested = Paid.where({ status: 'success', card: { kind: 'debit', last4: '1' }, tries: 2 })
  assert.equal(triggerText(nested), 'paid{status=success,card.kind=debit,card.last4=1,tries=2}')
  assert.equal(
    triggerText(Paid.where({ status: 'failed', reason: null, final: false })),
    'paid{status=failed,reason=null,final=false}',
  )
})
