/** stop() finishes what is in hand, aborts what takes too long without losing it, and ends for good. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { service, silentLogger, start, type App } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import { manualEnv } from 'quadrille/testing'
import { Answered, Asked, db, effect, effects, effectTable, gate, ledgerFile } from './setup.ts'

let starts = 0
const startOn = async (
  path: string,
  of: Parameters<typeof start>[0]['services'],
  more: { readonly batchMax?: number } = {},
) => {
  const env = manualEnv({ seed: (starts += 1) })
  const ledger = sqlite(path, { synchronous: 'NORMAL' })
  const app = await start({ services: of, ledger, env, log: silentLogger, retention: { every: 0 }, ...more })
  return { app, env }
}

/** An oracle whose call answers when it is told to, or when its signal is aborted if it listens. */
function slowOracle(how: { answer: Promise<string>; begun: () => void; aborted?: () => void; attempts?: number[] }) {
  return service('oracle', { db }).on(
    Asked,
    {
      emits: [Answered],
      call: (_, { signal, attempt }) => {
        how.attempts?.push(attempt)
        how.begun()
        signal.addEventListener('abort', () => how.aborted?.())
        return how.answer
      },
    },
    (asked, { db: handle, result }) => {
      effect(handle, `${asked.id} ${result}`)
      return Answered(asked)
    },
  )
}

test('stop() waits for the calls in hand and commits what they answer', async (t) => {
  const path = ledgerFile(t)
  const begun = gate()
  const answer = gate<string>()
  const oracle = slowOracle({ answer: answer.promise, begun: () => begun.open() })
  const { app } = await startOn(path, [oracle])
  await effectTable(app, oracle)
  await app.publish(Asked({ id: 'k' }))
  await begun.promise
  const stopped = app.stop()
  answer.open('in time')
  await stopped
  const next = await startOn(path, [oracle])
  assert.deepEqual(await effects(next.app, oracle), { 'k in time': 1 })
  await next.app.stop()
})

test('a call that takes longer than the deadline is aborted, and redone by the next app without losing an attempt', async (t) => {
  const path = ledgerFile(t)
  const begun = gate()
  const attempts: number[] = []
  let aborted = false
  const first = slowOracle({
    answer: new Promise(() => {}),
    begun: () => begun.open(),
    aborted: () => void (aborted = true),
    attempts,
  })
  const { app, env } = await startOn(path, [first])
  await effectTable(app, first)
  await app.publish(Asked({ id: 'k' }))
  await begun.promise
  const stopped = app.stop({ deadline: '5s' })
  await env.advance(4_999)
  assert.equal(aborted, false)
  await env.advance(1)
  await stopped
  assert.equal(aborted, true)
  const second = slowOracle({ answer: Promise.resolve('at last'), begun: () => {}, attempts })
  const next = await startOn(path, [second])
  await next.app.quiet()
  assert.deepEqual(await effects(next.app, second), { 'k at last': 1 })
  assert.deepEqual(attempts, [1, 1])
  await next.app.stop()
})

test('a call that has failed at once, and is aborted before that is written down, fails nothing else', async (t) => {
  const path = ledgerFile(t)
  const begun = gate()
  const release = gate()
  const calls: number[] = []
  const oracle = service('oracle', { db })
    .on(
      Asked,
      {
        call: (_, { attempt }): string => {
          calls.push(attempt)
          throw new Error('no line')
        },
      },
      () => {},
    )
    .on(Answered, async () => {
      begun.open()
      await release.promise
    })
  const { app, env } = await startOn(path, [oracle], { batchMax: 1 })
  // What nobody waits for would end the process.
  await app.publish([Asked({ id: 'k' }), Answered({ id: 'l' })])
  await begun.promise
  const stopped = app.stop({ deadline: '1s' })
  await env.advance(1_000)
  release.open()
  const over = stopped.then(() => true)
  while (!(await Promise.race([over, env.breathe()]))) await env.advance(100)
  assert.deepEqual(calls, [1])
})

test('stop() can be called again and again, and afterwards everything is refused with APP_STOPPED', async (t) => {
  const oracle = service('oracle').on(Asked, () => {})
  const { app } = await startOn(ledgerFile(t), [oracle])
  await Promise.all([app.stop(), app.stop(), app.stop()])
  await app.stop()
  const uses: readonly ((app: App) => Promise<unknown>)[] = [
    (each) => each.publish(Asked({ id: 'k' })),
    (each) => each.transact(oracle, () => Asked({ id: 'k' })),
    (each) => each.receive([]),
    (each) => each.deadLetters.list(),
    (each) => each.deadLetters.redrive({}),
    (each) => each.deadLetters.discard({}, 'because'),
    (each) => each.flow('k'),
    (each) => each.health(),
    (each) => each.seen({ correlationId: '', events: [] }, oracle),
  ]
  for (const use of uses) await assert.rejects(use(app), { code: 'APP_STOPPED' }, String(use))
})

test('a transaction that is under way when stop() is called still commits', async (t) => {
  const path = ledgerFile(t)
  const begun = gate()
  const goOn = gate()
  const oracle = service('oracle', { db }).on(Asked, () => {})
  const { app } = await startOn(path, [oracle])
  await effectTable(app, oracle)
  const committed = app.transact(oracle, async (c) => {
    begun.open()
    await goOn.promise
    effect(c.db, 'k')
  })
  await begun.promise
  const stopped = app.stop()
  goOn.open()
  await committed
  await stopped
  const next = await startOn(path, [oracle])
  assert.deepEqual(await effects(next.app, oracle), { k: 1 })
  await next.app.stop()
})

test('transact() for a service that does not run here is refused with SERVICE_UNKNOWN', async (t) => {
  const { app } = await startOn(ledgerFile(t), [service('oracle').on(Asked, () => {})])
  await assert.rejects(
    app.transact(service('stranger'), () => {}),
    { code: 'SERVICE_UNKNOWN' },
  )
  await app.stop()
})

test('what comes in between stop() and the end of an app is handled by the next one', async (t) => {
  const path = ledgerFile(t)
  const handled: string[] = []
  const oracle = service('oracle').on(Asked, ({ id }) => void handled.push(id))
  const { app } = await startOn(path, [oracle])
  const published = Promise.all(Array.from({ length: 50 }, (_, i) => app.publish(Asked({ id: `k${i}` }))))
  const stopped = app.stop()
  await published
  await stopped
  const next = await startOn(path, [oracle])
  await next.app.quiet()
  assert.equal(handled.length, 50)
  assert.equal(new Set(handled).size, 50)
  await next.app.stop()
})
