/** Connections that are cut without a word: nobody answers, and nobody says that nobody will. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { event, service, silentLogger, start } from 'quadrille'
import { pgClient, postgres } from '@quadrille/postgres'
import * as z from 'zod'
import { onServer, randomName, serverMissing, serverUrl, until } from './database.ts'
import { startProxy } from './proxy.ts'

const skip = await serverMissing()

const Asked = event('asked', { key: 'id', schema: z.object({ id: z.string() }) })

/** An app that reaches its server through a router; its handler runs this statement. */
async function place(statement: string) {
  const schema = randomName()
  const proxy = await startProxy(serverUrl)
  const handled: string[] = []
  let tries = 0
  const asked = service('asked', { db: pgClient() }).on(Asked, async ({ id }, { db }) => {
    tries += 1
    await db.query(statement)
    handled.push(id)
  })
  const limits = { statementTimeout: '300ms', idleTimeout: '2s', connectWait: '2s' } as const
  const app = await start({
    services: [asked],
    ledger: postgres(proxy.url, { ...limits, schema }),
    log: silentLogger,
  })
  return {
    app,
    proxy,
    handled,
    tries: () => tries,
    async [Symbol.asyncDispose]() {
      await app.stop()
      await proxy.close()
      await onServer((client) => client.query(`DROP SCHEMA IF EXISTS "${schema}" CASCADE`))
    },
  }
}

describe('a connection that is cut without a word', { skip }, () => {
  it('is given up: events are published and handled over another, and the app stops', { timeout: 60_000 }, async () => {
    await using there = await place('SELECT 1')
    await there.app.publish(Asked({ id: 'before' }))
    await until(() => there.handled.includes('before'), 'the first is handled')
    there.proxy.forget()
    await there.app.publish(Asked({ id: 'after' }))
    await until(() => there.handled.includes('after'), 'the second is handled', 40_000)
    there.proxy.forget()
    await there.app.stop()
  })

  it(
    'is not confused with one on which a statement takes the time that it was given',
    { timeout: 60_000 },
    async () => {
      await using there = await place(`SET LOCAL statement_timeout = '20s'; SELECT pg_sleep(5)`)
      await there.app.publish(Asked({ id: 'slow' }))
      await until(() => there.handled.length > 0, 'it is handled')
      // Side by side it may not send that, so it is run again.
      assert.ok(there.tries() <= 2, `${there.tries()} tries`)
    },
  )
})
