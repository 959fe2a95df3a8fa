/** Invocations that share an app, one after the other and at once, when it can not be stopped in order. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { manualEnv } from 'quadrille/testing'
import type { App } from '../../src/runtime/app.ts'
import { invocations } from '../../src/runtime/invocations.ts'

/** Apps whose stops do, in turn, what the list says: throw it, or nothing. Counts those that run at once. */
function place(stops: (Error | undefined)[]) {
  const seen = { started: 0, running: 0, most: 0 }
  const start = async (): Promise<App> => {
    seen.started += 1
    seen.running += 1
    seen.most = Math.max(seen.most, seen.running)
    const stop = async (): Promise<void> => {
      await new Promise(setImmediate)
      seen.running -= 1
      const failure = stops.shift()
      if (failure) throw failure
    }
    return { env: manualEnv(), quiet: async () => {}, stop } as unknown as App
  }
  const invoked = invocations(start)
  const run = (work: () => string = () => 'done') =>
    invoked.run(
      async () => work(),
      () => 10_000,
    )
  return { seen, run }
}

test('an app that could not be stopped fails its last invocation, and none that comes later', async () => {
  const { seen, run } = place([new Error('close')])
  await assert.rejects(run(), /close/)
  assert.equal(await run(), 'done')
  assert.equal(await run(), 'done')
  assert.equal(seen.started, 3)
})

test('what the work has thrown is what the caller gets, not how stopping failed', async () => {
  const { run } = place([new Error('close')])
  const work = () => {
    throw new Error('work')
  }
  await assert.rejects(run(work), /work/)
  assert.equal(await run(), 'done')
})

test('no app is started while another one is being stopped, whoever has waited for it', async () => {
  const { seen, run } = place([])
  for (let i = 0; i < 20; i++) {
    const [first] = [run(), run(), run()]
    await first
    // Some of them come while it is being stopped.
    await Promise.all([run(), run(), run()])
  }
  assert.equal(seen.most, 1)
  assert.equal(seen.running, 0)
})
