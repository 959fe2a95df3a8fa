/** What is given back at the end is not taken again by a renewal that was under way. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { manualEnv } from 'quadrille/testing'
import type { LeaseGrant, LeaseRequest } from '../../src/ledger/index.ts'
import { LeaseKeeper, type LeaseContext } from '../../src/runtime/lease-keeper.ts'

test('partitions are given back when the renewal that is under way has been answered, and not before', async () => {
  const env = manualEnv()
  const asked: { readonly request: LeaseRequest; readonly answer: () => void }[] = []
  const lease = (request: LeaseRequest): Promise<LeaseGrant> =>
    new Promise((resolve) => {
      const leases = request.release === 'all' ? [] : [{ partition: 0, epoch: 1, position: 0 }]
      asked.push({ request, answer: () => resolve({ leases, fairShare: 16 }) })
    })
  const context = {
    plan: { reader: 'r', start: 0 },
    settings: { env, instance: 'i', leaseMs: 2_000 },
    ledger: { lease },
    tell: { tell: () => {} },
  } as unknown as LeaseContext
  const keeper = new LeaseKeeper(context, () => {})
  const started = keeper.start()
  asked[0]!.answer()
  await started
  // Something was done, so that the next beat renews.
  assert.equal(keeper.epochs.size, 0)
  await env.advance(500)
  assert.equal(asked.length, 2)

  const stopped = keeper.stop()
  await env.breathe()
  assert.equal(asked.length, 2, 'nothing is given back while the renewal may still take it')
  asked[1]!.answer()
  await env.breathe()
  assert.equal(asked[2]?.request.release, 'all')
  asked[2].answer()
  await stopped
  await env.advance(10_000)
  assert.equal(asked.length, 3, 'and nothing is asked for afterwards')
})
