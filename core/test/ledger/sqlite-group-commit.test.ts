/** Works that share a commit: what each failure leaves of the others. */
import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { describe, it } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { nodeSqlite, sqlite, type SqliteHandle, type SqliteOptions } from 'quadrille/sqlite'
import { isQuadrilleError, sleep, systemEnv } from '../../src/base/index.ts'
import type { Ledger } from '../../src/ledger/ledger.ts'
import { newEvent, readAll } from '../../src/ledger/conformance/expectation.ts'
import { temporaryFolder } from './sqlite-harness.ts'

interface Place {
  readonly ledger: Ledger
  readonly path: string
  /** Rows of the table t that are committed. */
  readonly rows: () => unknown[]
}

async function withFile(test: (place: Place) => Promise<void>, options: SqliteOptions = {}): Promise<void> {
  const folder = temporaryFolder()
  const path = `${folder.path}/ledger.db`
  const ledger = sqlite(path, options)
  try {
    await ledger.open(systemEnv)
    await inTransaction(ledger, (db) =>
      db.exec(`CREATE TABLE t (a PRIMARY KEY);
               CREATE TABLE child (a REFERENCES t (a) DEFERRABLE INITIALLY DEFERRED)`),
    )
    const rows = () => {
      const db = new DatabaseSync(path)
      const found = db
        .prepare('SELECT a FROM t ORDER BY a')
        .all()
        .map((row) => row['a'])
      db.close()
      return found
    }
    await test({ ledger, path, rows })
  } finally {
    await ledger.close()
    folder.remove()
  }
}

function inTransaction<T>(ledger: Ledger, work: (db: SqliteHandle) => T | Promise<T>): Promise<T> {
  return ledger.transact(async (tx) => work(nodeSqlite().open(tx.handle)))
}

const insert = (value: number) => (db: SqliteHandle) => void db.prepare('INSERT INTO t VALUES (?)').run(value)

const statuses = (outcomes: readonly PromiseSettledResult<unknown>[]) =>
  outcomes.map((outcome) => outcome.status === 'fulfilled')

/** Collects garbage now. */
function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}

describe('group commit', () => {
  it('forgets works that have ended, although there is always another that waits', async () => {
    await withFile(async ({ ledger }) => {
      const collect = garbageCollector()
      const works = 5_000
      const known: WeakRef<object>[] = []
      const left = await new Promise<number>((resolve, reject) => {
        const ask = (n: number): void => {
          const own = { n }
          known.push(new WeakRef(own))
          const work = async () => {
            if (own.n < works) return ask(own.n + 1)
            collect()
            resolve(known.filter((one) => one.deref() !== undefined).length)
          }
          ledger.transact(work).catch(reject)
        }
        ask(0)
      })
      assert.ok(left < works / 2, `${left} of ${works} works were still known`)
    })
  })

  it('wakes once for many works that commit together', async () => {
    await withFile(async ({ ledger }) => {
      let woken = 0
      ledger.onAppend(() => (woken += 1))
      await Promise.all(Array.from({ length: 100 }, (_, n) => ledger.transact((tx) => tx.append([newEvent(`e-${n}`)]))))
      await systemEnv.breathe()
      assert.ok(woken >= 1 && woken <= 20, `woken ${woken} times`)
    })
  })

  it('keeps works apart that wait inside, and undoes only the failed ones', async () => {
    await withFile(async ({ ledger, rows }) => {
      const outcomes = await Promise.allSettled(
        Array.from({ length: 12 }, (_, n) =>
          inTransaction(ledger, async (db) => {
            insert(n)(db)
            await sleep(systemEnv, n % 3)
            if (n % 4 === 0) throw new Error('wanted')
            return n
          }),
        ),
      )
      assert.deepEqual(
        statuses(outcomes),
        outcomes.map((_, n) => n % 4 !== 0),
      )
      assert.deepEqual(rows(), [1, 2, 3, 5, 6, 7, 9, 10, 11])
    })
  })

  it('goes on when SQLite itself rolls the transaction back', async () => {
    await withFile(async ({ ledger, rows }) => {
      const outcomes = await Promise.allSettled([
        inTransaction(ledger, insert(1)),
        inTransaction(ledger, (db) => {
          insert(2)(db)
          db.prepare('INSERT OR ROLLBACK INTO t VALUES (?)').run(2)
        }),
        inTransaction(ledger, insert(3)),
      ])
      assert.deepEqual(statuses(outcomes), [false, false, true])
      const first = outcomes[0] as PromiseRejectedResult
      assert.ok(isQuadrilleError(first.reason, 'LEDGER_CONFLICT') && first.reason.retryable)
      assert.deepEqual(rows(), [3])
    })
  })

  it('never lets a handler write on after SQLite has rolled back', async () => {
    await withFile(async ({ ledger, rows }) => {
      let closed: unknown
      const swallowing = inTransaction(ledger, (db) => {
        insert(1)(db)
        assert.throws(() => db.prepare('INSERT OR ROLLBACK INTO t VALUES (?)').run(1))
        try {
          insert(2)(db)
        } catch (error) {
          closed = error
        }
      })
      await assert.rejects(swallowing, (error) => isQuadrilleError(error, 'LEDGER_CONFLICT'))
      assert.ok(isQuadrilleError(closed, 'HANDLE_CLOSED'))
      assert.deepEqual(rows(), [])
    })
  })

  it('finds the work whose deferred constraint breaks the commit, and only that one fails for good', async () => {
    await withFile(async ({ ledger, rows }) => {
      const orphan = (db: SqliteHandle) => void db.prepare('INSERT INTO child VALUES (?)').run(99)
      const works = [insert(1), orphan, insert(2)]
      const first = await Promise.allSettled(works.map((work) => inTransaction(ledger, work)))
      assert.ok(first.every((one) => one.status === 'rejected' && isQuadrilleError(one.reason, 'LEDGER_CONFLICT')))
      const second = await Promise.allSettled(works.map((work) => inTransaction(ledger, work)))
      assert.deepEqual(statuses(second), [true, false, true])
      assert.match(String((second[1] as PromiseRejectedResult).reason), /FOREIGN KEY/)
      assert.deepEqual(rows(), [1, 2])
    })
  })

  it('leaves nothing of an appended event in memory when the commit fails', async () => {
    await withFile(async ({ ledger }) => {
      await readAll(ledger)
      const broken = ledger.transact(async (tx) => {
        await tx.append([newEvent('lost')])
        nodeSqlite().open(tx.handle).prepare('INSERT INTO child VALUES (?)').run(99)
      })
      await assert.rejects(broken)
      await ledger.transact((tx) => tx.append([newEvent('kept')]))
      assert.deepEqual(
        (await readAll(ledger)).events.map((event) => event.id),
        ['kept'],
      )
    })
  })

  it('fails with LEDGER_BUSY when the lock is not to be had in time, and works again afterwards', async () => {
    const busyWaitMs = 150
    await withFile(
      async ({ ledger, path, rows }) => {
        const other = new DatabaseSync(path)
        other.exec('BEGIN IMMEDIATE')
        const began = systemEnv.elapsed()
        const works = Promise.allSettled([inTransaction(ledger, insert(1)), inTransaction(ledger, insert(2))])
        let turns = 0
        const cancel = setInterval(() => (turns += 1), 10)
        const outcomes = await works
        clearInterval(cancel)
        const waitedMs = systemEnv.elapsed() - began
        assert.ok(waitedMs >= busyWaitMs, `waited ${waitedMs} ms`)
        assert.ok(turns >= 3, `the event loop turned ${turns} times meanwhile`)
        for (const outcome of outcomes) {
          assert.ok(outcome.status === 'rejected' && isQuadrilleError(outcome.reason, 'LEDGER_BUSY'))
        }
        other.exec('COMMIT')
        other.close()
        await inTransaction(ledger, insert(3))
        assert.deepEqual(rows(), [3])
      },
      { busyWaitMs },
    )
  })

  it('waits for a lock that is given back in time', async () => {
    await withFile(async ({ ledger, path, rows }) => {
      const other = new DatabaseSync(path)
      other.exec('BEGIN IMMEDIATE')
      const work = inTransaction(ledger, insert(1))
      await sleep(systemEnv, 100)
      other.exec('COMMIT')
      other.close()
      await work
      assert.deepEqual(rows(), [1])
    })
  })

  it('runs a long queue in many groups, all of it', async () => {
    await withFile(async ({ ledger, rows }) => {
      const numbers = Array.from({ length: 1_000 }, (_, n) => n)
      await Promise.all(numbers.map((n) => inTransaction(ledger, insert(n))))
      assert.deepEqual(rows(), numbers)
    })
  })
})
