/** The open transaction as handlers see it: statements that end with the transaction and can not end it themselves. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { nodeSqlite, sqlite, type SqliteHandle, type SqliteStatement } from 'quadrille/sqlite'
import { isQuadrilleError, systemEnv, type ErrorCode } from '../../src/base/index.ts'
import type { Ledger } from '../../src/ledger/ledger.ts'
import { transactionControl } from '../../src/ledger/sqlite/transaction-control.ts'

async function withDb<T>(work: (db: SqliteHandle, ledger: Ledger) => T | Promise<T>): Promise<T> {
  const ledger = sqlite(':memory:')
  await ledger.open(systemEnv)
  try {
    return await ledger.transact(async (tx) => work(nodeSqlite().open(tx.handle), ledger))
  } finally {
    await ledger.close()
  }
}

const code =
  (expected: ErrorCode) =>
  (error: unknown): boolean =>
    isQuadrilleError(error, expected)

describe('the SQLite handle', () => {
  it('runs, gets, iterates and describes as node:sqlite does', async () => {
    await withDb((db) => {
      db.exec('CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT); CREATE INDEX i ON t (b)')
      assert.deepEqual({ ...db.prepare('INSERT INTO t (b) VALUES (?)').run('x') }, { changes: 1, lastInsertRowid: 1 })
      db.prepare('INSERT INTO t (b) VALUES (?), (?)').run('y', 'z')
      assert.equal(db.prepare('SELECT b FROM t WHERE a = ?').get(2)?.['b'], 'y')
      assert.equal(db.prepare('SELECT b FROM t WHERE a = ?').get(9), undefined)
      assert.deepEqual(
        db
          .prepare('SELECT b FROM t')
          .all()
          .map((row) => row['b']),
        ['x', 'y', 'z'],
      )
      assert.deepEqual(
        [...db.prepare('SELECT b FROM t WHERE a > ?').iterate(1)].map((row) => row['b']),
        ['y', 'z'],
      )
      assert.deepEqual(
        db
          .prepare('SELECT a, b FROM t')
          .columns()
          .map((column) => column.name),
        ['a', 'b'],
      )
    })
  })

  it('lets a statement be run while another of the same text is iterated', async () => {
    await withDb((db) => {
      db.exec('CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1), (2), (3)')
      const seen: unknown[] = []
      for (const row of db.prepare('SELECT a FROM t').iterate()) {
        seen.push(row['a'], db.prepare('SELECT a FROM t').get()?.['a'])
      }
      assert.deepEqual(seen, [1, 1, 2, 1, 3, 1])
    })
  })

  it('is closed after the work, with everything that was prepared or begun', async () => {
    const ledger = sqlite(':memory:')
    await ledger.open(systemEnv)
    const kept: { db?: SqliteHandle; statement?: SqliteStatement; rows?: Iterator<unknown> } = {}
    await ledger.transact(async (tx) => {
      kept.db = nodeSqlite().open(tx.handle)
      kept.db.exec('CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1), (2)')
      kept.statement = kept.db.prepare('SELECT a FROM t')
      kept.rows = kept.statement.iterate()
      kept.rows.next()
    })
    const { db, statement, rows } = kept
    const uses = [
      () => db!.prepare('SELECT 1'),
      () => db!.exec('SELECT 1'),
      () => statement!.run(),
      () => statement!.get(),
      () => statement!.all(),
      () => statement!.columns(),
      () => statement!.iterate().next(),
      () => rows!.next(),
    ]
    for (const use of uses) assert.throws(use, code('HANDLE_CLOSED'), String(use))
    await ledger.close()
  })

  it('is closed after a work that failed, too', async () => {
    let kept: SqliteHandle | undefined
    await withDb(async (_, ledger) => {
      assert.ok(ledger)
    })
    const ledger = sqlite(':memory:')
    await ledger.open(systemEnv)
    const failure = new Error('wanted')
    const failing = ledger.transact(async (tx) => {
      kept = nodeSqlite().open(tx.handle)
      throw failure
    })
    await assert.rejects(failing, (error) => error === failure)
    assert.throws(() => kept!.prepare('SELECT 1'), code('HANDLE_CLOSED'))
    await ledger.close()
  })

  it('refuses to control the transaction, in prepare and in exec, wherever it stands', async () => {
    await withDb((db) => {
      for (const sql of [
        'COMMIT',
        ' begin immediate',
        '-- note\nRollback',
        '/* x */ SAVEPOINT a',
        'END;',
        'release a',
      ]) {
        assert.throws(() => db.prepare(sql), code('TRANSACTION_CONTROL'), sql)
        assert.throws(() => db.exec(sql), code('TRANSACTION_CONTROL'), sql)
        assert.throws(() => db.exec(`SELECT 1; ${sql}`), code('TRANSACTION_CONTROL'), sql)
      }
    })
  })

  it('serves ledgers on SQLite only', () => {
    assert.throws(() => nodeSqlite().open({ kind: 'postgres', native: {} }), code('HANDLE_UNSUPPORTED'))
  })
})

describe('transactionControl', () => {
  it('finds the first word of a statement that controls the transaction', () => {
    const samples: [string, string | undefined][] = [
      ['select 1', undefined],
      ['', undefined],
      [';; commit', 'COMMIT'],
      ["select ';commit'; end", 'END'],
      ["insert into t values ('it''s; commit')", undefined],
      ['select "a;b", `c;d`, [e;f] from commit_log', undefined],
      ['-- ; commit\nselect 1', undefined],
      ['/* ; commit', undefined],
      ['update t set a = case when b then 1 else 2 end', undefined],
      ['create trigger x after insert on t begin update t set a = 1; delete from u; end', undefined],
      ['CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END; COMMIT', 'COMMIT'],
      ['create table begin_times (a); rollback to x', 'ROLLBACK'],
    ]
    for (const [sql, expected] of samples) assert.equal(transactionControl(sql), expected, sql)
  })
})
