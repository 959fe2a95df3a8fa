import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asPacked, linkedFiles, readmeOf } from '../packed-documents.ts'

const page = {
  path: 'docs/wires/x.md',
  text: [
    '[observing](../observing.md#hooks), [the',
    'ledger](../../core/src/ledger/ledger.ts), [figures](../../bench/README.md),',
    '[below](#below), [CloudEvents](https://cloudevents.io)',
    '```ts',
    'handlers[type](../observing.md)',
    '```',
    '[kafka](kafka.md)',
  ].join('\n'),
}

test('in core a link leads to what is shipped, and what is not shipped is text', () => {
  const packed = asPacked(page, true)
  const changed = page.text
    .replace('../../core/src', '../../src')
    .replace('[figures](../../bench/README.md)', 'figures')
  assert.equal(packed, changed)
  assert.deepEqual(linkedFiles(packed), ['../observing.md', '../../src/ledger/ledger.ts', 'kafka.md'])
})

test('elsewhere a page says where its links lead in quadrille', () => {
  const packed = asPacked(page, false)
  assert.deepEqual(linkedFiles(packed), [])
  assert.ok(packed.startsWith('observing (`docs/observing.md` of `quadrille`), the\nledger (`src/ledger/ledger.ts` of'))
  assert.ok(packed.includes('[below](#below), [CloudEvents](https://cloudevents.io)\n```ts\nhandlers[type]('))
  assert.ok(packed.endsWith('kafka (`docs/wires/kafka.md` of `quadrille`)'))
})

test('the README of a package is its page', () => {
  const readmes = ['core', 'cli', 'wires/kafka', 'ledgers/postgres'].map(readmeOf)
  assert.deepEqual(readmes, ['README.md', 'docs/check.md', 'docs/wires/kafka.md', 'docs/postgres.md'])
})
