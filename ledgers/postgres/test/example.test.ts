/** The example of the page in docs/ runs, on a real server. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runDocumentExample } from '@quadrille/brokers/document-example'
import { onServer, randomName, serverMissing, serverUrl } from './database.ts'

test('the example of docs/postgres.md', { skip: await serverMissing() }, async () => {
  const database = randomName()
  await onServer((client) => client.query(`CREATE DATABASE ${database}`))
  try {
    const url = new URL(serverUrl)
    url.pathname = `/${database}`
    const printed = await runDocumentExample('docs/postgres.md', { DATABASE_URL: url.href })
    assert.equal(printed, 'the tables are there\norder 1: 2 reserved, order 2: 3 reserved\n')
  } finally {
    await onServer((client) => client.query(`DROP DATABASE ${database} WITH (FORCE)`))
  }
})
