/** Reading ahead: a reader of the same process joins the commit of the events it handles, and shares its fate. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { sqlite, type SqliteHandle } from 'quadrille/sqlite'
import { isQuadrilleError, systemEnv } from '../../src/base/index.ts'
import type { Claim, Ledger, LedgerTx, ReadPage } from '../../src/ledger/ledger.ts'
import { newEvent, readAll } from '../../src/ledger/conformance/expectation.ts'
import { temporaryFolder } from './sqlite-harness.ts'

async function withLedger(test: (ledger: Ledger, claim: Claim) => Promise<void>): Promise<void> {
  const folder = temporaryFolder()
  const ledger = sqlite(`${folder.path}/ledger.db`)
  try {
    await ledger.open(systemEnv)
    const { leases } = await ledger.lease({ reader: 'r', owner: 'me', leaseMs: 60_000 })
    const epochs = new Map(leases.map(({ partition, epoch }) => [partition, epoch]))
    await test(ledger, { reader: 'r', owner: 'me', epochs })
  } finally {
    await ledger.close()
    folder.remove()
  }
}

/** Appends `first` with `also`, and reads ahead as soon as readers are told, while the commit is under way. */
function appendAndReadAhead(ledger: Ledger, also: (tx: LedgerTx) => void) {
  const page = Promise.withResolvers<ReadPage>()
  const forget = ledger.onAppend(() => {
    forget()
    ledger.read({ after: 0, limit: 10, ahead: true }).then(page.resolve, page.reject)
  })
  const appended = ledger.transact(async (tx) => {
    await tx.append([newEvent('first')])
    also(tx)
  })
  return { page: page.promise, appended }
}

const ids = (page: Pick<ReadPage, 'events'>) => page.events.map((event) => event.id)

it('what an event leads to joins its commit', () =>
  withLedger(async (ledger, claim) => {
    const { page, appended } = appendAndReadAhead(ledger, () => {})
    const { basis, upTo, ...read } = await page
    assert.deepEqual(
      read.events.map((event) => event.id),
      ['first'],
    )
    assert.equal(typeof basis, 'number')
    assert.deepEqual(ids(await ledger.read({ after: 0, limit: 10 })), [], 'only a read ahead sees it before its commit')
    await ledger.transact(async (tx) => {
      await tx.hold({ ...claim, basis, position: upTo })
      await tx.append([newEvent('second')])
    })
    await appended
    assert.deepEqual(ids(await readAll(ledger)), ['first', 'second'])
  }))

it('what was built on a commit that fails is refused, and leaves nothing', () =>
  withLedger(async (ledger, claim) => {
    await ledger.transact(async (tx) => {
      const db = tx.handle.native as SqliteHandle
      db.exec('CREATE TABLE t (a PRIMARY KEY); CREATE TABLE child (a REFERENCES t (a) DEFERRABLE INITIALLY DEFERRED)')
    })
    // Only the COMMIT finds out that there is no such row.
    const spoil = (tx: LedgerTx) => (tx.handle.native as SqliteHandle).exec('INSERT INTO child VALUES (1)')
    const { page, appended } = appendAndReadAhead(ledger, spoil)
    appended.catch(() => {})
    const { basis, upTo } = await page
    const step = (): Promise<void> =>
      ledger.transact(async (tx) => {
        await tx.hold({ ...claim, basis, position: upTo })
        await tx.append([newEvent('second')])
      })
    await assert.rejects(
      step(),
      (error) => isQuadrilleError(error, 'LEDGER_CONFLICT') || isQuadrilleError(error, 'LEDGER_PAGE_VOID'),
    )
    await assert.rejects(appended)
    await assert.rejects(step(), { code: 'LEDGER_PAGE_VOID' })
    assert.deepEqual(ids(await readAll(ledger)), [])
    assert.deepEqual([...new Set(await ledger.positions('r'))], [0])
  }))
