/** Errors say what happened and what to do; the default logger never fails; timers of the real Env keep their word. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import {
  consoleLogger,
  doubledMs,
  invariant,
  isNonRetryable,
  isQuadrilleError,
  messageOf,
  NonRetryable,
  QuadrilleError,
  sleep,
  systemEnv,
} from '../../src/base/index.ts'

test('an error carries its code, its facts, its cause, and a message that ends with what to do', () => {
  const cause = new TypeError('inner')
  const error = new QuadrilleError('EVENT_TYPE_UNKNOWN', { type: 'x.y' }, cause)
  assert.equal(error.code, 'EVENT_TYPE_UNKNOWN')
  assert.deepEqual(error.details, { type: 'x.y' })
  assert.equal(error.cause, cause)
  assert.equal(error.retryable, false)
  assert.match(error.message, /^EVENT_TYPE_UNKNOWN: .*x\.y\. Declare a contract/)
  assert.equal('cause' in new QuadrilleError('EVENT_TYPE_UNKNOWN', { type: 'x.y' }), false)
  assert.equal(new QuadrilleError('LEDGER_BUSY', { ledger: 'l', waitedMs: 1 }).retryable, true)
})

test('an error is recognised by its brand, also from another copy of the package', () => {
  const error = new QuadrilleError('TIMED_OUT', { waitedFor: 'it', waitedMs: 5 })
  const foreign = { [Symbol.for('quadrille.error')]: true, code: 'TIMED_OUT' }
  for (const each of [error, foreign]) {
    assert.ok(isQuadrilleError(each) && isQuadrilleError(each, 'TIMED_OUT') && !isQuadrilleError(each, 'INTERNAL'))
  }
  for (const other of [null, undefined, 'TIMED_OUT', new Error('x'), { code: 'TIMED_OUT' }]) {
    assert.equal(isQuadrilleError(other), false)
    assert.equal(isNonRetryable(other), false)
  }
  assert.ok(isNonRetryable(new NonRetryable('no', { cause: error })))
  assert.equal(isQuadrilleError(new NonRetryable('no')), false)
})

test('a broken promise of our own is INTERNAL, and a kept one is silent', () => {
  invariant(true, 'never seen')
  assert.throws(() => invariant(0, 'zero is one'), { code: 'INTERNAL', message: /zero is one.*bug of Quadrille/ })
})

test('the console logger prints one line, whatever the facts are', (t) => {
  const lines: string[] = []
  t.mock.method(console, 'error', (line: string) => lines.push(line))
  const circle: { self?: object } = {}
  circle.self = circle
  consoleLogger.warn({ error: new Error('boom'), position: 5n }, 'one')
  consoleLogger.error(circle, 'two')
  consoleLogger.info({}, 'nothing')
  consoleLogger.debug({}, 'nothing')
  assert.deepEqual(lines.length, 2)
  assert.equal(lines[0], 'quadrille warn one {"error":"boom","position":"5"}')
  assert.match(lines[1]!, /^quadrille error two \(facts that are not JSON/)
  assert.ok(!lines[1]!.includes('\n'))
})

test('the console logger prints the stack of an error below its line', (t) => {
  const printed: string[] = []
  t.mock.method(console, 'error', (text: string) => printed.push(text))
  const err = new Error('boom')
  consoleLogger.warn({ err }, 'one')
  consoleLogger.warn({ err: 'no error' }, 'two')
  assert.deepEqual(printed, [
    `quadrille warn one {"err":"boom"}\n${err.stack}`,
    'quadrille warn two {"err":"no error"}',
  ])
})

test('a timer is never early, can be longer than 24 days, and can be cancelled', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const fired: string[] = []
  const day = 86_400_000
  systemEnv.timer(30 * day, () => fired.push('thirty days'))
  systemEnv.timer(1.5, () => fired.push('1.5'))
  const cancel = systemEnv.timer(28 * day, () => fired.push('cancelled'))
  systemEnv.timer(-5, () => fired.push('at once'))
  t.mock.timers.tick(1)
  assert.deepEqual(fired, ['at once'])
  t.mock.timers.tick(1)
  assert.deepEqual(fired, ['at once', '1.5'])
  // In steps: a mocked timer that is set within a step counts from the end of the step.
  for (let hours = 0; hours < 26 * 24; hours++) t.mock.timers.tick(day / 24)
  cancel()
  cancel()
  for (let hours = 0; hours < 4 * 24 - 1; hours++) t.mock.timers.tick(day / 24)
  assert.deepEqual(fired, ['at once', '1.5'])
  t.mock.timers.tick(2 * day)
  assert.deepEqual(fired, ['at once', '1.5', 'thirty days'])
})

test('sleep ends at its time, or when it is aborted, and leaves no listener behind', async () => {
  const timers: (() => void)[] = []
  let cancelled = 0
  const env = {
    ...systemEnv,
    timer: (_ms: number, run: () => void) => {
      timers.push(run)
      return () => void cancelled++
    },
  }
  const first = sleep(env, 10)
  timers[0]!()
  await first
  const abort = new AbortController()
  const second = sleep(env, 10, abort.signal)
  abort.abort()
  await second
  await sleep(env, 10, abort.signal)
  assert.equal(timers.length, 2)
  assert.equal(cancelled, 2)
})

test('whatever was thrown has a sentence, also the error in which Node wraps those of all addresses of a host', () => {
  assert.equal(messageOf(new TypeError('inner')), 'inner')
  assert.equal(messageOf('a text'), 'a text')
  assert.equal(messageOf(undefined), 'undefined')
  assert.equal(
    messageOf(new AggregateError([new Error('::1 refused'), new Error('127.0.0.1 refused')])),
    '::1 refused; 127.0.0.1 refused',
  )
})

test('a pause doubles from the least to the most, however often', () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 10_000].map((times) => doubledMs({ min: 50, max: 500 }, times)),
    [50, 100, 200, 400, 500, 500],
  )
})
