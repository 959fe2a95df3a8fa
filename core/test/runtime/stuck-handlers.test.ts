/** A handler that never settles holds up everything on its ledger: it is named while it does, and stop() goes without it. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { service, start, type Logger } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import { manualEnv, type ManualEnv } from 'quadrille/testing'
import { Answered, Asked, gate, ledgerFile } from './setup.ts'

const ledgers = {
  'SQLite in a file': (t: TestContext) => sqlite(ledgerFile(t), { synchronous: 'NORMAL' }),
  'SQLite in memory': () => sqlite(':memory:'),
}

/** A service that is stuck in its handler, and another one, with virtual time. */
async function stuckApp(ledger: ReturnType<typeof sqlite>) {
  const begun = gate()
  const end = gate()
  const warnings: string[] = []
  const log: Logger = { debug() {}, info() {}, error() {}, warn: (_, text) => void warnings.push(text) }
  const bad = service('bad').on(Asked, { name: 'hold' }, () => {
    begun.open()
    return end.promise
  })
  const good = service('good').on(Answered, () => {})
  const env = manualEnv()
  const app = await start({ services: [bad, good], ledger, env, log, retention: { every: 0 } })
  // It may be made durable together with what it leads to.
  const asked = app.publish(Asked({ id: 'k' }))
  await begun.promise
  return { app, env, warnings, asked, end: end.open }
}

/** Waits for what waits in virtual time, which goes on meanwhile. */
async function inTime<T>(env: ManualEnv, promise: Promise<T>): Promise<T> {
  let isOver = false
  promise.finally(() => (isOver = true)).catch(() => {})
  for (await env.breathe(); !isOver; await env.breathe()) await env.advance(10)
  return promise
}

for (const [name, ledgerOf] of Object.entries(ledgers)) {
  test(`on ${name}, a handler that does not end is warned about while it runs, once, and health() names it`, async (t) => {
    const { app, env, warnings, asked, end } = await stuckApp(ledgerOf(t))
    const behind = app.publish(Answered({ id: 'k' }))
    await env.breathe()
    await env.advance(250)
    assert.deepEqual(warnings, [])
    await env.advance(1)
    assert.deepEqual(warnings, [
      'bad/hold has held the transaction open for 251 ms and is still running; move what is slow into `call`',
    ])
    await env.advance(11_749)
    assert.equal(warnings.length, 1)
    const health = await inTime(env, app.health())
    assert.equal(health.ok, false)
    assert.match(health.problems[0]!, /^bad\/hold has held the transaction for 1[23] s and is still running$/)
    end()
    await inTime(env, Promise.all([asked, behind]))
    await inTime(env, app.quiet())
    assert.deepEqual((await inTime(env, app.health())).problems, [])
    await inTime(env, app.stop())
  })
}

test('a handler that takes no longer than it may leaves no timer that keeps a process alive after stop()', async () => {
  const env = manualEnv()
  const quick = service('quick').on(Asked, async () => {})
  const app = await start({ services: [quick], ledger: sqlite(':memory:'), env, slowHandler: '1d' })
  await app.publish(Asked({ id: 'k' }))
  await app.quiet()
  await app.stop()
  assert.equal(env.nextTimerAt(), Infinity)
})

test('after stop() has given up on a handler, the process ends by itself', async (t) => {
  const member = fileURLToPath(new URL('./stuck-member.ts', import.meta.url))
  const run = promisify(execFile)(process.execPath, ['--conditions=quadrille-source', member, ledgerFile(t)], {
    timeout: 20_000,
  })
  const { stdout } = await run
  assert.equal(stdout.trim(), 'stopped')
})
