/** Batches of several readers in one transaction: who shares, who is run again alone, and what each of them learns. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isQuadrilleError, QuadrilleError } from 'quadrille'
import { manualEnv } from 'quadrille/testing'
import type { Claim, Ledger, LedgerTx } from '../../src/ledger/index.ts'
import { SharedBatches } from '../../src/runtime/shared-batches.ts'

type Query = (ownTurn?: boolean) => void

const claimOf = (reader: string): Claim => ({ reader, owner: 'me', epochs: new Map([[0, 1]]) })
function failureOf(work: () => void): unknown {
  try {
    work()
    return undefined
  } catch (error) {
    return error
  }
}
const queryOf = (tx: LedgerTx): Query => tx.handle.native as Query

/** Shared batches on a ledger that writes down what is done in which of its transactions. */
function place(commit: () => void = () => {}) {
  const env = manualEnv()
  const log: string[] = []
  let count = 0
  const transact = async (work: (tx: LedgerTx) => Promise<unknown>) => {
    const name = `t${++count}`
    const write = (what: string) => log.push(`${name} ${what}`)
    const side: LedgerTx['side'] = (sending) => {
      const native: Query = (ownTurn = false) => {
        sending(ownTurn)
        write('statement')
      }
      return { kind: 'fake', native }
    }
    const hold = async ({ reader }: Claim) => void write(`holds ${reader}`)
    const handle = { kind: 'fake', native: () => write('statement') }
    try {
      const value = await work({ side, hold, handle } as unknown as LedgerTx)
      commit()
      write('commits')
      return value
    } catch (error) {
      write('rolls back')
      throw error
    }
  }
  const batches = new SharedBatches({ sideBySide: true, transact } as unknown as Ledger, env)
  const run = <T>(reader: string, work: (tx: LedgerTx) => Promise<T>) => batches.shared(claimOf(reader), work)
  /** Whether two readers would share a transaction now. */
  const share = async (...readers: readonly string[]) => {
    log.length = 0
    await Promise.all(readers.map((reader) => run(reader, async () => {})))
    return log.filter((line) => line.endsWith('commits')).length === 1
  }
  return { env, log, run, share }
}

test('batches of one turn share a transaction in which all leases are proved before the first statement', async () => {
  const { run, log } = place()
  const work = (value: string) => async (tx: LedgerTx) => {
    queryOf(tx)()
    return value
  }
  const values = await Promise.all([run('payments', work('paid')), run('inventory', work('reserved'))])
  assert.deepEqual(values, ['paid', 'reserved'])
  assert.deepEqual(log, ['t1 holds payments', 't1 holds inventory', 't1 statement', 't1 statement', 't1 commits'])
})

test('a batch that comes alone has its own transaction, as has one that comes while others are under way', async () => {
  const { env, run, log } = place()
  await run('payments', async () => {})
  assert.deepEqual(log.splice(0), ['t1 holds payments', 't1 commits'])
  let goOn = () => {}
  const shared = [
    run('payments', () => new Promise<void>((resolve) => (goOn = resolve))),
    run('inventory', async () => {}),
  ]
  while (log.length < 2) await env.breathe()
  await run('orders', async () => {})
  assert.deepEqual(log.slice(2), ['t3 holds orders', 't3 commits'])
  goOn()
  await Promise.all(shared)
  assert.equal(log.at(-1), 't2 commits')
})

test('one that fails is run again alone, as are the others, and its failure is nobody else’s', async () => {
  const { env, run, log, share } = place()
  let runs = 0
  const ends = await Promise.allSettled([
    run('payments', async () => {
      throw new Error('declined')
    }),
    run('inventory', async () => ++runs),
  ])
  assert.equal(ends[0].status === 'rejected' && (ends[0].reason as Error).message, 'declined')
  assert.equal(ends[1].status === 'fulfilled' && ends[1].value, 2)
  const outcomes = log.filter((line) => !line.includes('holds'))
  assert.deepEqual(outcomes.toSorted(), ['t1 rolls back', 't2 rolls back', 't3 commits'])
  assert.ok(!(await share('payments', 'inventory')), 'what makes handlers fail may go on')
  await env.advance(1_000)
  assert.ok(await share('payments', 'inventory'))
})

test('nothing is run again when nobody knows whether it has committed', async () => {
  const unknown = new QuadrilleError('LEDGER_OUTCOME_UNKNOWN', { ledger: 'fake', message: 'gone' })
  const { run } = place(() => {
    throw unknown
  })
  let runs = 0
  const work = async () => void ++runs
  const ends = await Promise.allSettled([run('payments', work), run('inventory', work)])
  assert.deepEqual(
    ends.map((end) => end.status === 'rejected' && end.reason),
    [unknown, unknown],
  )
  assert.equal(runs, 2)
})

for (const [what, refused] of [
  ['sends what must not run beside others', async (query: Query) => query(true)],
  [
    'sends again behind what another has sent meanwhile',
    async (query: Query) => {
      query()
      await Promise.resolve().then(() => {})
      query()
    },
  ],
  ['swallows that it was refused', async (query: Query) => void failureOf(() => query(true))],
] as const)
  test(`a handler that ${what} is run alone from then on, and the others go on sharing`, async () => {
    const { run, log, share } = place()
    await Promise.all([
      run('stock', (tx) => refused(queryOf(tx))),
      run('payments', async (tx) => queryOf(tx)()),
      run('mails', async (tx) => queryOf(tx)()),
    ])
    const outcomes = log.filter((line) => /commits|rolls/.test(line))
    assert.deepEqual(outcomes.toSorted(), ['t1 rolls back', 't2 commits', 't3 commits', 't4 commits'])
    assert.ok(!(await share('stock', 'payments')))
    assert.ok(await share('payments', 'mails'))
  })

test('statements that wait for each other in the order of their first are not refused', async () => {
  const { run, log } = place()
  await Promise.all([
    run('payments', async (tx) => queryOf(tx)()),
    run('inventory', async (tx) => {
      const query = queryOf(tx)
      query()
      await Promise.resolve()
      query()
    }),
  ])
  assert.equal(log.at(-1), 't1 commits')
})

test('a handle that is kept ends with the work of its batch, though the transaction goes on', async () => {
  const { run } = place()
  let kept: Query = () => {}
  let tried: unknown
  await Promise.all([
    run('payments', async (tx) => void (kept = queryOf(tx))),
    run('inventory', async () => {
      for (let turn = 0; turn < 10; turn++) await Promise.resolve()
      tried = failureOf(kept)
    }),
  ])
  assert.ok(isQuadrilleError(tried, 'HANDLE_CLOSED'))
})
