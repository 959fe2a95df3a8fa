/** The comparison of JSON Schemas, with ajv as the judge: what is proven has no counterexample. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import fc from 'fast-check'
import { samplesOf } from '../../src/check/compat/samples.ts'
import { doubtsOf } from '../../src/check/compat/subset.ts'
import type { Schema } from '../../src/contracts/json-schema.ts'

const ajv = new Ajv2020({ strict: false, allErrors: false })
formats.default(ajv)

const object = (
  properties: Schema,
  required: readonly string[] = Object.keys(properties),
  more: Schema = {},
): Schema => ({
  type: 'object',
  properties,
  required,
  ...more,
})
const text = { type: 'string' }
const number = { type: 'number' }
const kind = (value: string, more: Schema = {}) => object({ kind: { const: value }, ...more })

const proven: [name: string, sent: Schema, read: Schema][] = [
  ['the same', object({ a: text }), object({ a: text })],
  ['a field more that nobody reads', object({ a: text, b: number }), object({ a: text })],
  ['a field that need not be there', object({ a: text }), object({ a: text, b: number }, ['a'])],
  ['a field that was optional before', object({ a: text, b: number }), object({ a: text, b: number }, ['a'])],
  ['whole numbers where numbers are read', { type: 'integer' }, number],
  ['tighter bounds', { type: 'number', minimum: 1, maximum: 5 }, { type: 'number', exclusiveMinimum: 0, maximum: 5 }],
  ['fewer values', { enum: ['a'] }, { enum: ['a', 'b'] }],
  ['a value where a text is read', { const: 'abc' }, { type: 'string', minLength: 2, pattern: '^a' }],
  ['alternatives in another order', { oneOf: [kind('a'), kind('b')] }, { oneOf: [kind('b'), kind('a')] }],
  ['fewer alternatives', kind('a'), { oneOf: [kind('a'), kind('b')] }],
  [
    'one object where alternatives are read by its values',
    object({ kind: { enum: ['a', 'b'] } }),
    { anyOf: [kind('a'), kind('b')] },
  ],
  ['a text or nothing, written in two ways', { anyOf: [text, { type: 'null' }] }, { type: ['string', 'null'] }],
  ['references', { $defs: { t: text }, ...object({ a: { $ref: '#/$defs/t' } }) }, object({ a: text })],
  ['parts', { allOf: [object({ a: text }), object({ b: number })] }, object({ a: text, b: number })],
  ['lists', { type: 'array', items: { type: 'integer' }, minItems: 2 }, { type: 'array', items: number, minItems: 1 }],
  [
    'pairs',
    { type: 'array', prefixItems: [text, number], items: false, minItems: 2 },
    { type: 'array', prefixItems: [text], items: number },
  ],
  [
    'records',
    object({}, [], { additionalProperties: { type: 'integer' } }),
    object({}, [], { additionalProperties: number }),
  ],
  [
    'limits of safe integers',
    { type: 'integer' },
    { type: 'integer', minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER },
  ],
  ['multiples', { type: 'number', multipleOf: 0.1 }, { type: 'number', multipleOf: 0.01 }],
  ['anything', object({ a: text }), {}],
]

const tree = (leaf: Schema): Schema => ({
  $defs: { node: object({ value: leaf, next: { $ref: '#/$defs/node' } }, ['value']) },
  $ref: '#/$defs/node',
})

const doubted: [name: string, sent: Schema, read: Schema, path: string][] = [
  ['a field that may be missing', object({ a: text }, []), object({ a: text }), 'a'],
  ['a field that is not sent', object({ a: text }), object({ a: text, b: number }), 'b'],
  ['another type', object({ a: { ...object({ b: text }) } }), object({ a: object({ b: number }) }), 'a.b'],
  [
    'a field that is forbidden',
    object({ a: text, b: text }),
    object({ a: text }, ['a'], { additionalProperties: false }),
    'b',
  ],
  ['more values', { enum: ['a', 'b'] }, { enum: ['a'] }, ''],
  ['wider bounds', number, { type: 'number', minimum: 0 }, ''],
  ['the bound itself', { type: 'number', minimum: 0 }, { type: 'number', exclusiveMinimum: 0 }, ''],
  ['any number where whole ones are read', number, { type: 'integer' }, ''],
  ['longer texts', text, { type: 'string', maxLength: 5 }, ''],
  ['another pattern', { type: 'string', pattern: '^a' }, { type: 'string', pattern: '^b' }, ''],
  ['a format', text, { type: 'string', format: 'email' }, ''],
  ['an alternative more', { oneOf: [kind('a'), kind('b')] }, { oneOf: [kind('a')] }, 'kind'],
  ['longer lists', { type: 'array', items: text }, { type: 'array', items: text, maxItems: 2 }, ''],
  ['other items', { type: 'array', items: text }, { type: 'array', items: number }, '*'],
  ['alternatives that overlap', text, { oneOf: [text, { type: 'string', minLength: 3 }] }, ''],
  [
    'a word that is not understood',
    object({ a: text }),
    { ...object({ a: text }), not: object({ a: { const: 'x' } }) },
    '',
  ],
  ['deep inside of a recursion', tree(text), tree(number), 'value'],
  ['records', object({}, [], { additionalProperties: text }), object({ a: number }, []), 'a'],
]

for (const [name, sent, read] of proven) {
  test(`proven: ${name}`, () => assert.deepEqual(doubtsOf(sent, read), []))
}
for (const [name, sent, read, path] of doubted) {
  test(`doubted: ${name}`, () => assert.equal(doubtsOf(sent, read)[0]?.path, path))
}

test('recursion that is the same on both sides is proven', () => {
  assert.deepEqual(doubtsOf(tree({ type: 'integer' }), tree(number)), [])
})

/** Any schema of a small grammar. */
const schemas = fc.letrec<{ any: Schema; object: Schema; leaf: Schema }>((tie) => ({
  leaf: fc.oneof(
    fc.record(
      { type: fc.constant('string'), minLength: fc.nat(3), maxLength: fc.integer({ min: 3, max: 9 }) },
      { requiredKeys: ['type'] },
    ),
    fc.record(
      {
        type: fc.constantFrom('number', 'integer'),
        minimum: fc.integer({ min: -3, max: 3 }),
        maximum: fc.integer({ min: 3, max: 9 }),
      },
      { requiredKeys: ['type'] },
    ),
    fc.record(
      {
        type: fc.constantFrom('number', 'integer'),
        exclusiveMinimum: fc.integer({ min: -3, max: 3 }),
        multipleOf: fc.constantFrom(1, 2, 0.5),
      },
      { requiredKeys: ['type'] },
    ),
    fc.record({
      enum: fc.uniqueArray(fc.constantFrom('a', 'b', 'abc', 1, 2, null, true), { minLength: 1, maxLength: 4 }),
    }),
    fc.record({ const: fc.constantFrom('a', 'b', 0, 4, null, false) }),
    fc.record({ type: fc.constant('boolean') }),
    fc.record({ type: fc.constant('string'), format: fc.constantFrom('date-time', 'date', 'email') }),
    fc.record({ type: fc.subarray(['string', 'null', 'integer', 'boolean'], { minLength: 1 }) }),
  ),
  object: fc
    .record({
      properties: fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('any'), { maxKeys: 3 }),
      optional: fc.subarray(['a', 'b', 'c']),
      additionalProperties: fc.option(fc.oneof(fc.constant(false), tie('leaf')), { nil: undefined, freq: 3 }),
    })
    .map(({ properties, optional, additionalProperties }) => {
      const required = Object.keys(properties).filter((field) => !optional.includes(field))
      return {
        type: 'object',
        properties,
        required,
        ...(additionalProperties === undefined ? {} : { additionalProperties }),
      }
    }),
  any: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    tie('leaf'),
    tie('object'),
    fc.record(
      { type: fc.constant('array'), items: tie('any'), minItems: fc.nat(2), maxItems: fc.integer({ min: 2, max: 3 }) },
      { requiredKeys: ['type', 'items'] },
    ),
    fc.record({ anyOf: fc.array(tie('any'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ oneOf: fc.array(tie('object'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ allOf: fc.array(tie('any'), { minLength: 1, maxLength: 2 }) }),
  ),
}))

/** The schema with something changed somewhere. */
function changed(schema: Schema, seed: number): Schema {
  const copy = structuredClone(schema) as Record<string, never>
  const all: Record<string, unknown>[] = []
  const visit = (at: unknown): void => {
    if (typeof at !== 'object' || at === null) return
    if (!Array.isArray(at)) all.push(at as Record<string, unknown>)
    Object.values(at).forEach(visit)
  }
  visit(copy)
  const at = all[seed % all.length]!
  const changes: (() => void)[] = [
    () => delete at['required'],
    () => delete at['maxLength'],
    () => delete at['minimum'],
    () => delete at['additionalProperties'],
    () => Array.isArray(at['enum']) && at['enum'].push('z'),
    () => at['type'] === 'integer' && (at['type'] = 'number'),
    () => typeof at['minLength'] === 'number' && (at['minLength'] += 1),
    () => typeof at['properties'] === 'object' && Object.assign(at['properties']!, { d: { type: 'string' } }),
    () => Array.isArray(at['anyOf']) && at['anyOf'].reverse(),
    () => {},
  ]
  changes[(seed >>> 3) % changes.length]!()
  return copy
}

test('random pairs of schemas: nothing that is proven is refuted by ajv', () => {
  const counts = { proven: 0, refuted: 0 }
  fc.assert(
    fc.property(schemas.any, schemas.any, fc.oneof(fc.constant(-1), fc.nat()), (sent, another, seed) => {
      const read = seed >= 0 ? changed(sent, seed) : another
      const doubts = doubtsOf(sent, read)
      const [sends, reads] = [ajv.compile(sent), ajv.compile(read)]
      const bad = samplesOf(sent).find((value) => sends(value) && !reads(value))
      // It would keep every one of them.
      ajv.removeSchema(sent).removeSchema(read)
      if (bad !== undefined) counts.refuted += 1
      if (doubts.length > 0) return
      counts.proven += 1
      assert.equal(
        bad,
        undefined,
        `${JSON.stringify(sent)} sends ${JSON.stringify(bad)}, read by ${JSON.stringify(read)}`,
      )
    }),
    { numRuns: 1_000 },
  )
  assert.ok(counts.proven > 100 && counts.refuted > 100, JSON.stringify(counts))
})

test('samples of a schema are allowed by it, nearly always', () => {
  const counts = { allowed: 0, all: 0, none: 0 }
  fc.assert(
    fc.property(schemas.any, (schema) => {
      const allows = ajv.compile(schema)
      const samples = samplesOf(schema)
      const allowed = samples.filter((value) => allows(value))
      ajv.removeSchema(schema)
      counts.all += samples.length
      counts.allowed += allowed.length
      if (allowed.length === 0) counts.none += 1
    }),
    { numRuns: 300 },
  )
  assert.ok(counts.allowed > counts.all * 0.5, JSON.stringify(counts))
})
