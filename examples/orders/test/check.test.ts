/** The order application is clean: the check finds nothing in its declarations. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { check } from 'quadrille/check'
import config from '../quadrille.config.ts'

test('the check finds nothing, and says how large a conversation can become', () => {
  const { findings, suppressed, flows } = check(config.choreographies)
  assert.deepEqual(findings, [])
  assert.deepEqual(suppressed, [])
  const [flow] = flows
  assert.deepEqual(flow!.longestPath, [
    'order.created',
    'payment.processed{status=failed}',
    'order.cancelled',
    'payment.refunded',
  ])
  assert.ok(flow!.worstMs < 15 * 60_000, 'retries and calls fit into the deadline')
})
