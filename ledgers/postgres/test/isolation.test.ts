/** The ledger's own work where the default of the database is not READ COMMITTED. See also ./safe-positions.test.ts. */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { systemEnv, type Ledger } from 'quadrille'
import { postgres, type PostgresHandle } from '@quadrille/postgres'
import { atLevel, hasCollided, newEvent, onServer, randomName, serverMissing, serverUrl } from './database.ts'

const skip = await serverMissing()

const drop = (schema: string) => onServer((client) => client.query(`DROP SCHEMA "${schema}" CASCADE`))

/** A ledger in a schema of its own, for as long as the test. */
async function opened(t: TestContext, url: string): Promise<{ readonly ledger: Ledger; readonly schema: string }> {
  const schema = randomName()
  const ledger = postgres(url, { schema })
  await ledger.open(systemEnv)
  t.after(async () => {
    await ledger.close()
    await drop(schema)
  })
  return { ledger, schema }
}

for (const level of ['repeatable read', 'serializable'] as const)
  describe(`where ${level} is the default`, { skip }, () => {
    const url = atLevel(level)

    it('processes that start at the same time make the tables once', async () => {
      const schema = randomName()
      const ledgers = Array.from({ length: 6 }, () => postgres(url, { schema }))
      const outcomes = await Promise.allSettled(ledgers.map((ledger) => ledger.open(systemEnv)))
      for (const ledger of ledgers) await ledger.close()
      assert.deepEqual(
        outcomes.map((outcome) => (outcome.status === 'rejected' ? String(outcome.reason) : 'open')),
        ledgers.map(() => 'open'),
      )
      await drop(schema)
    })

    it('transactions of handlers have it, and the log is not read in it', async (t) => {
      const { ledger, schema } = await opened(t, url)
      const found = await ledger.transact(async (tx) => {
        const db = tx.handle.native as PostgresHandle
        return (await db.query(`SELECT current_setting('transaction_isolation') AS level`)).rows[0]
      })
      assert.deepEqual(found, { level })
      await assert.rejects(
        onServer((client) => client.query(`SELECT * FROM "${schema}".safe_1()`), url),
        /the log is read in READ COMMITTED, not in /,
      )
      await onServer((client) => client.query(`SELECT * FROM "${schema}".safe_1()`), serverUrl)
    })

    it('an event that was trimmed behind the snapshot of a transaction is not appended a second time', async (t) => {
      const { ledger, schema } = await opened(t, url)
      await ledger.transact((tx) => tx.append([newEvent('a', { time: 1 })]))
      const old = { upTo: 1, eventsBefore: 2, idsBefore: 0, recordsBefore: 0, limit: 10 }
      const again = ledger.transact(async (tx) => {
        await (tx.handle.native as PostgresHandle).query('SELECT 1')
        await ledger.trim(old)
        return tx.append([newEvent('b'), newEvent('a')])
      })
      await assert.rejects(again, (error) => hasCollided(ledger, error))
      const positions = await ledger.transact((tx) => tx.append([newEvent('b'), newEvent('a')]))
      assert.deepEqual([typeof positions[0], positions[1]], ['number', null])
      // What is appended leaves nothing among what was trimmed.
      const left = await onServer((client) => client.query(`SELECT id FROM "${schema}".trimmed`))
      assert.deepEqual(left.rows, [{ id: 'a' }])
    })
  })
