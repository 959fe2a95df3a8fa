/** Transactions that share one: who is run alone, and who is not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { manualEnv } from 'quadrille/testing'
import type { TxHandle } from '../../src/base/index.ts'
import type { Ledger, LedgerTx } from '../../src/ledger/index.ts'
import { Gathering } from '../../src/runtime/gathering.ts'

type Query = () => Promise<void>

/** A gathering on a database that answers, in the order of sending, when it is told to. */
function place() {
  const env = manualEnv()
  const answers: (() => void)[] = []
  const side: LedgerTx['side'] = (sending) => {
    const native: Query = () => {
      sending(false)
      return new Promise((resolve) => answers.push(resolve))
    }
    return { kind: 'fake', native }
  }
  const transact = (work: (tx: LedgerTx) => Promise<unknown>) => work({ side } as unknown as LedgerTx)
  const gathering = new Gathering({ sideBySide: true, transact } as unknown as Ledger, env)
  const run = (owner: string, work: (query: Query) => Promise<void>) => {
    const make = async (handle: () => TxHandle) => {
      await work(handle().native as Query)
      return []
    }
    return gathering.run({ owner, make })
  }
  /** Whether the next transaction of an owner would share. */
  const shares = (owner: string) => run(owner, async () => {}) !== undefined
  return { env, answers, run, shares }
}

test('who waits for a slow database goes on sharing transactions', async () => {
  const { env, answers, run, shares } = place()
  void run('one', (query) => query())
  void run('two', (query) => query())
  await env.breathe()
  await env.breathe()
  answers[0]!()
  await env.advance(1_000)
  assert.ok(shares('one'))
  assert.ok(shares('two'))
})

test('whose work is slow by itself is run alone for a while, whether it has sent something or not', async () => {
  const { env, answers, run, shares } = place()
  const forEver = () => new Promise<void>(() => {})
  void run('before', (query) => query().then(forEver))
  void run('quick', (query) => query())
  void run('without', forEver)
  await env.breathe()
  await env.breathe()
  for (const answer of answers) answer()
  await env.advance(1_000)
  assert.ok(shares('quick'))
  assert.ok(!shares('before'))
  assert.ok(!shares('without'))
  await env.advance(10_000)
  assert.ok(shares('before'))
})
