/** The longest texts and greatest numbers that an event may have fit into the tables; what has more costs nothing but itself. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { event, service, silentLogger, start } from 'quadrille'
import { postgres } from '@quadrille/postgres'
import * as z from 'zod'
import { onServer, randomName, serverMissing, serverUrl } from './database.ts'

const Made = event('made', { key: 'id', schema: z.object({ id: z.string() }) })

/** Three bytes a character in UTF-8, and nothing that could be compressed. */
const text = (length: number): string =>
  Array.from({ length }, () => String.fromCodePoint(0x4e00 + Math.floor(Math.random() * 20_000))).join('')

test(
  'an event at all limits is handled, and one beyond any of them becomes a dead letter alone',
  { skip: await serverMissing() },
  async (t) => {
    const schema = randomName()
    t.after(() => onServer((client) => client.query(`DROP SCHEMA IF EXISTS "${schema}" CASCADE`)))
    const seen: string[] = []
    const maker = service('maker').on(Made, (_, { event: { id } }) => void seen.push(id))
    const app = await start({ services: [maker], ledger: postgres(serverUrl, { schema }), log: silentLogger })
    t.after(() => app.stop())
    const message = (id: string, more: object) =>
      Buffer.from(JSON.stringify({ specversion: '1.0', id, source: 's', type: 'made', data: { id: 'k' }, ...more }))
    const names = { partitionkey: text(500), correlationid: text(500), causationid: text(500), source: text(500) }
    const most = { ...names, reaction: text(500), hops: 20, dataversion: 1, tracestate: text(4_096) }
    const beyond = [
      ...Object.keys(names).map((name) => ({ [name]: text(501) })),
      { hops: 2 ** 31 },
      { dataversion: 2 ** 31 },
      { partitionkey: 'half \ud83d' },
    ]
    const received = await app.receive([
      message(text(200), most),
      ...beyond.map((more, index) => message(`beyond ${index}`, more)),
      message('last', { hops: 2 ** 31 - 1 }),
    ])
    assert.deepEqual(received, { appended: 2, duplicates: 0, dead: beyond.length })
    await app.quiet()
    assert.equal(seen.length, 1)
    // The one with so many hops is stopped, as a letter of its own.
    assert.equal((await app.deadLetters.list({ code: 'HOPS_EXCEEDED' })).length, 1)
  },
)
