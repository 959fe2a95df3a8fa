/** The connection is lost at COMMIT, and the server has it not, late, or without our hearing of it: all happens once. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { event, service, silentLogger, start, toCloudEvent, type App } from 'quadrille'
import { pgClient, postgres } from '@quadrille/postgres'
import * as z from 'zod'
import { onServer, randomName, serverMissing, serverUrl } from './database.ts'
import { startProxy, type Cut, type Proxy } from './proxy.ts'

const skip = await serverMissing()

const Happened = event('happened', { key: 'id', schema: z.object({ id: z.string() }) })
const cuts: readonly Cut[] = ['before', 'late', 'after']

describe('a connection that is lost at COMMIT', { skip, concurrency: false }, () => {
  const schema = randomName()
  const shop = service('shop', { db: pgClient() }).on(Happened, () => {})
  let proxy: Proxy
  let app: App

  before(async () => {
    proxy = await startProxy(serverUrl)
    app = await start({
      services: [shop],
      ledger: postgres(proxy.url, { schema, listen: serverUrl }),
      log: silentLogger,
    })
    await onServer((client) => client.query(`CREATE TABLE "${schema}".rows (id text)`))
  })

  after(async () => {
    await app?.stop()
    await proxy?.close()
    await onServer((client) => client.query(`DROP SCHEMA IF EXISTS "${schema}" CASCADE`))
  })

  /** How often there is a row, and an event, with this name. */
  const times = (id: string) =>
    onServer(async (client) => {
      const { rows } = await client.query<{ rows: number; events: number }>(
        `SELECT (SELECT count(*)::int FROM "${schema}".rows WHERE id = $1) AS rows,
          (SELECT count(*)::int FROM "${schema}".events WHERE key = $1) AS events`,
        [id],
      )
      return rows[0]
    })

  /** Writes a row and appends an event. The names differ, so that the connection is cut at the event. */
  const happen = (id: string, ran: string[] = []) =>
    app.transact(shop, async ({ db }) => {
      ran.push(id)
      await db.query(`INSERT INTO "${schema}".rows VALUES (reverse($1))`, [[...id].reverse().join('')])
      return Happened({ id })
    })

  for (const cut of cuts) {
    it(`transact(), ${cut}: the row and the event are there once`, async () => {
      const id = `transact ${cut}`
      const ran: string[] = []
      const isCut = proxy.cutAt(id, cut)
      const token = await happen(id, ran)
      await isCut
      assert.deepEqual(await times(id), { rows: 1, events: 1 })
      assert.deepEqual(ran.length, cut === 'after' ? 1 : 2)
      const [stored] = await app.ledger.find({ key: id, limit: 1 })
      assert.deepEqual(token.events, [{ id: stored!.id, key: id, position: stored!.position }])
      await app.seen(token, shop)
    })

    it(`transact() that share a transaction, ${cut}: each happens once`, async () => {
      const ids = Array.from({ length: 20 }, (_, n) => `shared ${n} ${cut}`)
      const isCut = proxy.cutAt(ids[7]!, cut)
      await Promise.all(ids.map((id) => happen(id)))
      await isCut
      for (const id of ids) assert.deepEqual(await times(id), { rows: 1, events: 1 }, id)
    })

    it(`transact() without a statement, and publish(), ${cut}: the event is there once`, async () => {
      const ways = {
        work: (id: string) => app.transact(shop, () => Happened({ id })),
        publish: (id: string) => app.publish(Happened({ id })),
      }
      for (const [name, way] of Object.entries(ways)) {
        const id = `${name} ${cut}`
        const isCut = proxy.cutAt(id, cut)
        const token = await way(id)
        await isCut
        // What the server gets late may be there before the second try, which is then a duplicate.
        if (cut !== 'late') assert.equal(token.events.length, 1)
        assert.deepEqual(await times(id), { rows: 0, events: 1 })
      }
    })

    it(`publish() of an id that was known before, ${cut}: it stays the duplicate that it is`, async () => {
      const id = `known ${cut}`
      const first = await app.publish(Happened({ id }, { id }))
      const isCut = proxy.cutAt(id, cut)
      const again = await app.publish(Happened({ id }, { id }))
      await isCut
      assert.deepEqual(again, first)
      assert.deepEqual(await times(id), { rows: 0, events: 1 })
    })

    it(`receive() of nothing that can be read, ${cut}: it is a dead letter once`, async () => {
      const text = `unreadable ${cut}`
      const isCut = proxy.cutAt(Buffer.from(text).toString('base64'), cut)
      assert.equal((await app.receive([Buffer.from(text)])).dead, 1)
      await isCut
      const letters = (await app.deadLetters.list()).filter(({ bytes }) => Buffer.from(bytes).toString() === text)
      assert.equal(letters.length, 1)
    })

    it(`receive(), ${cut}: what came is there once, and a dead letter too`, async () => {
      const id = `received ${cut}`
      const [made] = (await app.publish(Happened({ id: 'of another' }))).events
      const [record] = await app.ledger.find({ ids: [made!.id], limit: 1 })
      const message = toCloudEvent({ ...record!, id, key: id, data: JSON.stringify({ id }) })
      const unreadable = Buffer.from(`no event ${cut}`)
      const isCut = proxy.cutAt(id, cut)
      const { dead } = await app.receive([Buffer.from(JSON.stringify(message)), unreadable])
      await isCut
      assert.equal(dead, 1)
      assert.deepEqual(await times(id), { rows: 0, events: 1 })
      const letters = (await app.deadLetters.list()).filter(({ bytes }) => Buffer.from(bytes).equals(unreadable))
      assert.equal(letters.length, 1)
    })
  }
})
