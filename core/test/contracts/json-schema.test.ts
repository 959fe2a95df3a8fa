/** Every version of a contract has a JSON Schema of what is sent, from each schema library or from its author. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import * as v from 'valibot'
import * as z from 'zod'
import { event } from '../../src/contracts/index.ts'
import { plainSchemas } from './vendors.ts'

for (const [vendor, schema] of Object.entries(plainSchemas)) {
  test(`${vendor}: each version has a JSON Schema 2020-12, by default the latest`, () => {
    const Sized = event('sized', { key: 'id', schema }).version(2, {
      schema: z.object({ id: z.string(), width: z.number() }),
      upcast: ({ id, size }) => ({ id, width: size ?? 0 }),
    })
    const first = Sized.jsonSchema(1)
    assert.equal(first['$schema'], 'https://json-schema.org/draft/2020-12/schema')
    assert.equal(first['type'], 'object')
    assert.deepEqual(first['required'], ['id'])
    const properties = first['properties'] as Record<string, { type: string }>
    assert.equal(properties['id']!.type, 'string')
    assert.equal(properties['size']!.type, 'number')
    assert.deepEqual(Sized.jsonSchema()['required'], ['id', 'width'])
    assert.deepEqual(Sized.jsonSchema(2), Sized.jsonSchema())
  })
}

test('what is described is what is sent: the form before defaults and transformations', () => {
  const schema = z.object({ id: z.string(), total: z.string().transform(Number), note: z.string().default('') })
  const described = event('sent', { key: 'id', schema }).jsonSchema()
  assert.deepEqual(described['required'], ['id', 'total'])
  assert.equal((described['properties'] as { total: { type: string } }).total.type, 'string')
})

test('without a JSON Schema there is an error that names the library and the way out', () => {
  const bare = event('bare', { key: 'id', schema: v.object({ id: v.string() }) })
  assert.throws(() => bare.jsonSchema(), {
    code: 'JSON_SCHEMA_UNAVAILABLE',
    message: /^.*valibot.*bare v1.*toStandardJsonSchema/,
  })
  const big = event('big', { key: 'id', schema: z.object({ id: z.string(), n: z.bigint() }) })
  assert.throws(
    () => big.jsonSchema(),
    (error: Error & { code: string }) => {
      assert.equal(error.code, 'JSON_SCHEMA_UNAVAILABLE')
      assert.match(error.message, /zod.*big v1/)
      assert.ok(error.cause instanceof Error)
      return true
    },
  )
})

test('a JSON Schema given by hand wins', () => {
  const jsonSchema = { type: 'object', description: 'by hand' }
  const bare = event('bare', { key: 'id', schema: v.object({ id: v.string() }), jsonSchema })
  assert.equal(bare.jsonSchema(), jsonSchema)
  assert.equal(event('zod', { key: 'id', schema: z.object({ id: z.string() }), jsonSchema }).jsonSchema(1), jsonSchema)
})

test('a version that does not exist has no schema', () => {
  const One = event('one', { key: 'id', schema: z.object({ id: z.string() }) })
  for (const version of [0, 2, NaN]) {
    assert.throws(() => One.jsonSchema(version), { code: 'CONTRACT_INVALID', message: /no version/ })
  }
})
