/** The matrix of wires says what the runs came to. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { wireCases } from '../../core/src/wire/conformance/index.ts'
import { differences, withMatrix, wireMatrix } from '../wire-matrix.ts'

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

test('a document that says something else than the runs is found out, whatever the width of its columns', () => {
  const run = (name: string, passed: boolean) => ({
    name,
    capabilities,
    cases: [{ name: 'one', passed, leftOut: null }],
  })
  const places = '<!-- wire-matrix: written by scripts/wire-matrix.mjs -->\n<!-- end of wire-matrix -->'
  const runs = [run('some', true), run('other', true)]
  const document = withMatrix(places, wireMatrix(runs).replaceAll(' | ', '   | ').replaceAll('---', '------'))
  assert.deepEqual(differences(document, runs), { missing: [], lines: [] })
  const { lines } = differences(document, [run('some', false), run('other', true)])
  assert.deepEqual(lines, ['missing: |one|✓|**fails**|', 'not so any more: |one|✓|✓|'])
  assert.deepEqual(differences(document, runs.slice(0, 1)).missing, ['other'])
})

test('docs/wires.md has every case, none of them failing', () => {
  const document = readFileSync(new URL('../../docs/wires.md', import.meta.url), 'utf8')
  assert.ok(!document.includes('**fails**'))
  const rows = document.split('\n').map((line) => line.split('|')[1]?.trim())
  assert.deepEqual(
    wireCases.map(({ name }) => name).filter((name) => !rows.includes(name)),
    [],
    'run npm run matrix',
  )
  assert.match(withMatrix(document, 'NEW'), /-->\n\nNEW\n\n<!--/)
})
