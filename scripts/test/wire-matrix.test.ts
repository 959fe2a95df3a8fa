/** The matrix of wires says what the runs came to. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { wireCases } from '../../core/src/wire/conformance/index.ts'
import { withMatrix, wireMatrix } from '../wire-matrix.ts'

const capabilities = {
  order: 'one-receiver',
  from: ['now'],
  filters: false,
  reportsUnroutable: true,
  dedupeMs: 120_000,
  messageBytesMax: 1_000_000,
} as const

test('it shows what passed, what failed, and why something was left out', () => {
  const cases = [
    { name: 'one', passed: true, leftOut: null },
    { name: 'two', passed: false, leftOut: null },
    { name: 'three', passed: false, leftOut: 'it can not' },
  ]
  const text = wireMatrix([{ name: 'some', capabilities, cases }])
  assert.match(text, /\| order per key \| one receiver \|/)
  assert.match(text, /\| broker drops repeats for \| 120 s \|/)
  assert.match(text, /\| largest message \| 1,000,000 \|/)
  assert.match(text, /\| one \| ✓ \|\n\| two \| \*\*fails\*\* \|\n\| three \| – \(1\) \|/)
  assert.match(text, /\n1\. it can not$/)
})

test('docs/wires.md has every case, none of them failing', () => {
  const document = readFileSync(new URL('../../docs/wires.md', import.meta.url), 'utf8')
  assert.ok(!document.includes('**fails**'))
  const rows = document.split('\n').map((line) => line.split('|')[1]?.trim())
  assert.deepEqual(
    wireCases.map(({ name }) => name).filter((name) => !rows.includes(name)),
    [],
    'run node scripts/wire-matrix.mjs',
  )
  assert.match(withMatrix(document, 'NEW'), /-->\n\nNEW\n\n<!--/)
})
