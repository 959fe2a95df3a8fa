/** docs/check.md describes every rule, under its code and name, and no other. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { rules } from '../../src/check/index.ts'

test('every rule has a section with its code and name, and a way to mend it', () => {
  const page = readFileSync(new URL('../../../docs/check.md', import.meta.url), 'utf8')
  const sections = [...page.matchAll(/^### ([SD]\d+) (.+)\n\n([\s\S]*?)(?=\n##)/gm)]
  assert.deepEqual(
    sections.map(([, code, name]) => `${code} ${name}`),
    Object.entries(rules).map(([code, { name }]) => `${code} ${name}`),
  )
  for (const [, code, , text] of sections) assert.match(text!, code === 'D1' ? /below/ : /\*\*Fix:\*\*/, code)
})
