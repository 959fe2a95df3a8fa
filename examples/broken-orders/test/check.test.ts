/** What the check finds in each wrong variant, and that the README says so. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { check } from 'quadrille/check'
import { variants } from '../src/index.ts'

for (const { name, wrong, check: codes, choreographies } of variants) {
  const title = codes.length === 0 ? 'no declaration shows it' : `found by ${codes.join()}`
  test(`${name}: ${title}`, () => {
    const { findings } = check(choreographies)
    assert.deepEqual([...new Set(findings.map(({ code }) => code))], codes, wrong)
    for (const { places, message, fix } of findings) {
      assert.ok(message.length > 0 && fix.length > 0)
      for (const { at } of places) assert.match(at, /\.ts:\d+$/)
    }
    const inVariant = findings.every(({ places }) => places.some(({ at }) => at.includes(`${name}.ts:`)))
    const inWhole = codes.includes('S5') || inVariant
    assert.ok(inWhole, 'a finding names a place in the file of the variant')
  })
}

test('the README has a row for each variant', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const rows = [...readme.matchAll(/^\| \[`([\w-]+)`\]\(src\/\1\.ts\)\s*\| (.*?)\s*\| (.*?)\s*\| (.*?)\s*\|$/gm)]
  assert.deepEqual(
    rows.map(([, name, wrong, found, shown]) => [name, wrong, found, shown]),
    variants.map(({ name, wrong, check: codes, simulate }) => [name, wrong, codes.join(', ') || '–', simulate ?? '–']),
  )
})

test('there are at least ten variants, and each is found by one of the two', () => {
  assert.ok(variants.length >= 10)
  for (const { name, check: codes, simulate } of variants) assert.ok(codes.length > 0 || simulate !== null, name)
})
