/** Under concurrent writers no reader skips an event, nobody else's transaction stalls it, and keys keep their order. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import pg from 'pg'
import { sleep, systemEnv, type Ledger, type LedgerTx, type NewEvent } from 'quadrille'
import { postgres, type PostgresHandle } from '@quadrille/postgres'
import { atLevel, hasCollided, newEvent, onServer, randomName, serverMissing, serverUrl } from './database.ts'

const skip = await serverMissing()
const writers = 16
const keys = 5

/** Follows the log over a connection of its own by what a query finds behind the last one; the naive ways do so. */
class NaiveReader {
  readonly #client = new pg.Client({ connectionString: serverUrl })
  readonly #sql: string
  readonly seen = new Set<string>()
  #last: unknown
  #stopping = false
  #loop: Promise<void> = Promise.resolve()

  /** @param sql - Gives id and cursor of what is behind `$1`, in order. */
  constructor(sql: string, start: unknown) {
    this.#sql = sql
    this.#last = start
  }

  async start(): Promise<void> {
    await this.#client.connect()
    this.#loop = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await this.#loop
    await this.#client.end()
  }

  async #run(): Promise<void> {
    // Once more after the last writer has ended.
    for (let last = false; !last;) {
      last = this.#stopping
      const { rows } = await this.#client.query<{ id: string; cursor: unknown }>(this.#sql, [this.#last])
      for (const { id, cursor } of rows) {
        this.seen.add(id)
        this.#last = cursor
      }
      await sleep(systemEnv, 2)
    }
  }
}

/** Follows the log as the runtime does. */
class Follower {
  readonly events: { id: string; key: string; version: number }[] = []
  readonly #ledger: Ledger
  #after = 0
  #stopping = false
  #loop: Promise<void> = Promise.resolve()

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  start(): void {
    this.#loop = this.#run()
  }

  stop(): Promise<void> {
    this.#stopping = true
    return this.#loop
  }

  async #run(): Promise<void> {
    for (let reads = 1; ; reads++) {
      const stopping = this.#stopping
      // What is at hand is asked for three times out of four, so that both ways are met in every state of the log.
      const atHand = !stopping && reads % 4 !== 0
      const page = await this.#ledger.read({ after: this.#after, limit: 50, atHand })
      for (const { id, key, version } of page.events) this.events.push({ id, key, version })
      this.#after = page.upTo
      if (page.end && stopping) return
      await sleep(systemEnv, 1)
    }
  }
}

interface Level {
  readonly name: string
  readonly url: string
  readonly transactionsEach: number
}

const levels: readonly Level[] = [
  { name: 'READ COMMITTED', url: serverUrl, transactionsEach: 60 },
  // Most collide and are run again.
  { name: 'REPEATABLE READ', url: atLevel('repeatable read'), transactionsEach: 30 },
  { name: 'SERIALIZABLE', url: atLevel('serializable'), transactionsEach: 30 },
]

for (const { name, url, transactionsEach } of levels)
  describe(
    `16 writers in ${name} with rollbacks, savepoints and delays, beside a transaction that stays open`,
    { skip },
    () => {
      const schema = randomName()
      const tables = `"${schema}_user"`
      const committed: string[] = []
      const foreign = new pg.Client({ connectionString: serverUrl })
      const open = async () => {
        const ledger = postgres(url, { schema, connections: writers + 2 })
        await ledger.open(systemEnv)
        return ledger
      }
      let ledger: Ledger
      let other: Ledger
      let followers: Follower[]
      const events = `"${schema}".events`
      const naive = {
        position: new NaiveReader(
          `SELECT id, position AS cursor FROM ${events} WHERE position > $1 ORDER BY position`,
          0,
        ),
        time: new NaiveReader(`SELECT id, time AS cursor FROM ${events} WHERE time > $1 ORDER BY time, position`, 0),
        // As (xid, position) with the lowest running transaction as its bound would read: here only how far it gets.
        horizon: new NaiveReader(
          `SELECT id, position AS cursor FROM ${events}
       WHERE position > $1 AND xmin::text::bigint < (pg_snapshot_xmin(pg_current_snapshot())::text::bigint & 4294967295)
       ORDER BY position`,
          0,
        ),
      }

      const write = async (writer: number): Promise<void> => {
        for (let n = 0; n < transactionsEach; n++) {
          const key = `key-${Math.floor(systemEnv.random() * keys)}`
          const id = `w${writer}-${n}`
          const fails = systemEnv.random() < 0.1
          const wanted: string[] = []
          const of = writer % 2 === 0 ? ledger : other
          const work = async (tx: LedgerTx): Promise<void> => {
            wanted.length = 0
            const db = tx.handle.native as PostgresHandle
            await sleep(systemEnv, systemEnv.random() * 4)
            // The version is drawn under the lock of the key's own row, so that its order is the order of the key.
            const { rows } = await db.query<{ version: number }>(
              `UPDATE ${tables}.things SET version = version + 1 WHERE key = $1 RETURNING version`,
              [key],
            )
            const event = (name: string): NewEvent => newEvent(`${id}${name}`, { key, version: rows[0]!.version })
            await sleep(systemEnv, systemEnv.random() * 4)
            if (n % 4 === 0) {
              await db.query('SAVEPOINT part')
              await tx.append([event('-undone')])
              await db.query('ROLLBACK TO SAVEPOINT part')
            }
            if (n % 3 === 0) {
              await tx.append([event('-early')])
              wanted.push(`${id}-early`)
              await sleep(systemEnv, systemEnv.random() * 6)
            }
            tx.appendLast([event('')])
            wanted.push(id)
            if (fails) throw new Rollback()
          }
          for (let outcome: unknown = 'again'; outcome === 'again';)
            outcome = await of.transact(work).then(
              () => committed.push(...wanted),
              (error: unknown) => {
                if (hasCollided(of, error)) return 'again'
                assert.ok(error instanceof Rollback, String(error))
              },
            )
        }
      }

      before(async () => {
        await onServer(async (client) => {
          await client.query(
            `CREATE SCHEMA ${tables}; CREATE TABLE ${tables}.things (key text PRIMARY KEY, version int)`,
          )
          await client.query(
            `INSERT INTO ${tables}.things SELECT 'key-' || n, 0 FROM generate_series(0, ${keys - 1}) n`,
          )
          await client.query(`CREATE TABLE ${tables}.others (n int)`)
        })
        ledger = await open()
        other = await open()
        followers = [new Follower(ledger), new Follower(other)]
        await foreign.connect()
        await foreign.query(`BEGIN; INSERT INTO ${tables}.others VALUES (1)`)
        for (const reader of Object.values(naive)) await reader.start()
        for (const follower of followers) follower.start()
        await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)))
        await Promise.all([...followers, ...Object.values(naive)].map((reader) => reader.stop()))
      })

      after(async () => {
        await foreign.query('ROLLBACK')
        await foreign.end()
        await ledger.close()
        await other.close()
        await onServer((client) => client.query(`DROP SCHEMA "${schema}" CASCADE; DROP SCHEMA ${tables} CASCADE`))
      })

      it('every reader has read exactly what was committed, each once, while the other transaction was open', () => {
        const expected = committed.toSorted()
        assert.ok(expected.length > writers * transactionsEach * 0.8)
        for (const { events } of followers) assert.deepEqual(events.map(({ id }) => id).sort(), expected)
      })

      it('each key is read in the order of its versions', () => {
        for (const { events } of followers) {
          const last = new Map<string, number>()
          let inversions = 0
          for (const { key, version } of events) {
            if (version < (last.get(key) ?? 0)) inversions += 1
            last.set(key, version)
          }
          assert.equal(inversions, 0)
        }
      })

      const skipNaive = name !== 'READ COMMITTED' && 'seen once is enough'
      it('the same run shows what is wrong with the naive ways', { skip: skipNaive }, (t) => {
        const lost = (reader: NaiveReader) => committed.filter((id) => !reader.seen.has(id)).length
        const counts = { position: lost(naive.position), time: lost(naive.time), horizon: lost(naive.horizon) }
        t.diagnostic(`of ${committed.length} events lost: ${JSON.stringify(counts)}`)
        assert.ok(counts.position > 0, 'position > last skips what commits late')
        assert.ok(counts.time > 0, 'so does the time of the event')
        assert.equal(
          counts.horizon,
          committed.length,
          'the lowest running transaction stalls for as long as anyone writes',
        )
      })

      it('names nobody in health, because nobody stalls', async () => {
        const { ok, facts } = await ledger.health()
        assert.deepEqual([ok, facts['appenders']], [true, 0])
      })
    },
  )

/** Thrown by works on purpose. */
class Rollback extends Error {}

describe('a transaction that has appended and stays open', { skip }, () => {
  it('holds up what comes behind it, is named by health, and is read when it commits', async () => {
    const schema = randomName()
    const ledger = postgres(serverUrl, { schema })
    await ledger.open(systemEnv)
    const { promise: left, resolve: leave } = Promise.withResolvers<void>()
    const { promise: entered, resolve: enter } = Promise.withResolvers<void>()
    try {
      await ledger.transact((tx) => tx.append([newEvent('a')]))
      const long = ledger.transact(async (tx) => {
        await tx.append([newEvent('late')])
        enter()
        await left
      })
      await entered
      await ledger.transact((tx) => tx.append([newEvent('b')]))
      const page = await ledger.read({ after: 0, limit: 10 })
      assert.deepEqual(
        page.events.map(({ id }) => id),
        ['a'],
      )
      assert.equal((await ledger.health()).facts['appenders'], 1)
      leave()
      await long
      const rest = await ledger.read({ after: page.upTo, limit: 10 })
      assert.deepEqual(
        rest.events.map(({ id }) => id),
        ['late', 'b'],
      )
    } finally {
      leave()
      await ledger.close()
      await onServer((client) => client.query(`DROP SCHEMA "${schema}" CASCADE`))
    }
  })
})
