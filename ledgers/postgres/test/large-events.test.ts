/** However large the events are, no read brings more of them than fit into memory, and none is left out. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { systemEnv, type Ledger } from 'quadrille'
import { postgres } from '@quadrille/postgres'
import { newEvent, onServer, randomName, serverMissing, serverUrl } from './database.ts'

const skip = await serverMissing()
const eventBytes = 500_000
const count = 40
const pageBytesMax = 8 * 1024 * 1024 + eventBytes

describe('events of half a megabyte', { skip }, () => {
  const schema = randomName()
  const ids = Array.from({ length: count }, (_, n) => `e-${n}`)
  let early: Ledger
  let late: Ledger

  before(async () => {
    const [writer, other] = [postgres(serverUrl, { schema }), postgres(serverUrl, { schema })]
    await writer.open(systemEnv)
    early = other
    await early.open(systemEnv)
    for (const id of ids)
      await writer.transact((tx) => tx.append([newEvent(id, { data: JSON.stringify('é'.repeat(eventBytes / 2)) })]))
    await writer.transact((tx) => tx.append([newEvent('small')]))
    await writer.close()
    late = postgres(serverUrl, { schema, tailBytes: 1 })
    await late.open(systemEnv)
  })

  after(async () => {
    await early.close()
    await late.close()
    await onServer((client) => client.query(`DROP SCHEMA "${schema}" CASCADE`))
  })

  const readAll = async (ledger: Ledger, types?: readonly string[]) => {
    const found: string[] = []
    let most = 0
    for (let position = 0, end = false; !end;) {
      const page = await ledger.read({ after: position, limit: 1_000, ...(types && { types }) })
      const bytes = page.events.reduce((sum, { data }) => sum + Buffer.byteLength(data), 0)
      most = Math.max(most, bytes)
      found.push(...page.events.map(({ id }) => id))
      position = page.upTo
      end = page.end
    }
    return { found, most }
  }

  it('come in pages when they are new', async () => {
    const { found, most } = await readAll(early)
    assert.deepEqual(found, [...ids, 'small'])
    assert.ok(most <= pageBytesMax, `${most} bytes in one page`)
  })

  it('come in pages when they are old', async () => {
    for (const types of [undefined, ['thing.happened']]) {
      const { found, most } = await readAll(late, types)
      assert.deepEqual(found, [...ids, 'small'])
      assert.ok(most <= pageBytesMax, `${most} bytes in one page`)
    }
  })
})
