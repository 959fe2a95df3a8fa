/** The examples of the pages in docs/ that need a server run, on a real one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runDocumentExample } from '@quadrille/brokers/document-example'
import { onServer, randomName, serverMissing, serverUrl } from './database.ts'

const skip = await serverMissing()

/** Runs the example of a page in a database of its own; returns what it printed. */
async function printedBy(page: string): Promise<string> {
  const database = randomName()
  await onServer((client) => client.query(`CREATE DATABASE ${database}`))
  try {
    const url = new URL(serverUrl)
    url.pathname = `/${database}`
    return await runDocumentExample(page, { DATABASE_URL: url.href })
  } finally {
    await onServer((client) => client.query(`DROP DATABASE ${database} WITH (FORCE)`))
  }
}

test('the example of docs/postgres.md', { skip }, async () => {
  const printed = await printedBy('docs/postgres.md')
  assert.equal(printed, 'the tables are there\norder 1: 2 reserved, order 2: 3 reserved\n')
})

test('the example of docs/testing.md: a world on a server', { skip }, async () => {
  assert.equal(await printedBy('docs/testing.md'), "[ { orderId: '1' } ] [ { id: '1' } ]\n")
})
