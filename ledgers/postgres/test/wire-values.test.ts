/** Arrays in PostgreSQL's binary form, byte by byte, and as the server reads them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { floatArray, intArray, positionArray, textArray } from '../src/wire-values.ts'
import { onServer, serverMissing } from './database.ts'

const skip = await serverMissing()

test('a text array holds its texts in UTF-8, each behind its length, and -1 for null', () => {
  const head = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 25]
  const bytes = [
    ...head,
    0,
    0,
    0,
    4,
    0,
    0,
    0,
    1,
    0,
    0,
    0,
    2,
    0xc3,
    0xa9,
    0,
    0,
    0,
    2,
    0xc3,
    0xa9,
    255,
    255,
    255,
    255,
    0,
    0,
    0,
    0,
  ]
  assert.deepEqual([...textArray(['é', 'é', null, ''])], bytes)
})

test('the server reads what was written', { skip }, async () => {
  await onServer(async (client) => {
    const text = fc.oneof(fc.constantFrom('', 'a', 'é', '€', '😀', 'same'), fc.string({ unit: 'grapheme' }))
    const texts = fc.array(
      fc.option(
        text.filter((value) => !value.includes('\0')),
        { nil: null },
      ),
      { minLength: 1 },
    )
    await fc.assert(
      fc.asyncProperty(texts, fc.array(fc.integer(), { minLength: 1 }), async (values, numbers) => {
        const positions = numbers.map((number) => Math.abs(number) * 2 ** 20)
        const { rows } = await client.query({
          text: 'SELECT $1::text[], $2::int[], $3::float8[], $4::bigint[]::text[]',
          values: [textArray(values), intArray(numbers), floatArray(numbers), positionArray(positions)],
          rowMode: 'array',
        })
        assert.deepEqual(rows, [[values, numbers, numbers, positions.map(String)]])
      }),
    )
  })
})
