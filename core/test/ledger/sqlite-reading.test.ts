/** Reading the table while another process commits between any two statements: nothing is passed unseen. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { sqlite } from 'quadrille/sqlite'
import { systemEnv } from '../../src/base/index.ts'
import { newEvent } from '../../src/ledger/conformance/expectation.ts'
import { EventAppender, EventReader } from '../../src/ledger/sqlite/event-table.ts'
import { openConnection, type Connection } from '../../src/ledger/sqlite/sqlite-connection.ts'
import { temporaryFolder } from './sqlite-harness.ts'

/** The connection, with `before` called ahead of each of its statements. */
function interrupted({ db, statements }: Connection, before: () => void): Connection {
  const wrapped = (statement: StatementSync) =>
    new Proxy(statement, {
      get(target, name) {
        const value = Reflect.get(target, name) as unknown
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => {
          if (name === 'get' || name === 'all') before()
          return (value as (...all: unknown[]) => unknown).apply(target, args)
        }
      },
    })
  return { db: { prepare: (sql: string) => wrapped(db.prepare(sql)) } as unknown as DatabaseSync, statements }
}

it('an event that another process commits between the statements of a read is seen by the next read', async () => {
  const folder = temporaryFolder()
  const path = `${folder.path}/ledger.db`
  const connect = () => openConnection({ path, synchronous: 'NORMAL', cacheBytes: 1_000_000, readOnly: false })
  const ledger = sqlite(path)
  await ledger.open(systemEnv)
  const [other, own] = [connect(), connect()]
  try {
    const appender = new EventAppender(other)
    let left = 12
    const appendOne = () => {
      if (left === 0) return
      left -= 1
      appender.append({ ...newEvent(`event ${left}`), type: 'wanted' })
    }
    const reader = new EventReader(interrupted(own, appendOne))
    appendOne()
    let after = 0
    const seen: string[] = []
    for (let whole = false; left > 0 || !whole;) {
      const page = reader.pageOfTypes({ after, limit: 5, types: ['wanted'], window: 100 })
      seen.push(...page.events.map(({ id }) => id))
      after = page.upTo
      whole = page.whole
    }
    assert.deepEqual(
      seen,
      Array.from({ length: 12 }, (_, index) => `event ${11 - index}`),
    )
  } finally {
    other.db.close()
    own.db.close()
    await ledger.close()
    folder.remove()
  }
})
