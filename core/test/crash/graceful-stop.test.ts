/** stop(): what is in hand is finished, what is not is handed over, and nothing counts as an attempt. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { count, leftovers, prepare, rows } from './audit.ts'
import { Crew, Place, until } from './crew.ts'
import { jobTables, type SlowData } from './job-flow.ts'
import type { Setup } from './member.ts'

/** Scaled down: calls of 200 ms, 20 in the queue, one of 6 s, deadline 2.5 s. */
const deadline = 2_500
const callMs = 200
const verySlowMs = 6_000

test('SIGTERM: the calls under way are finished, the queue is done elsewhere, the slow one is redone with its key', async (t) => {
  using place = new Place()
  await using crew = new Crew()
  prepare(place.file, jobTables, place.outside)
  const setup: Setup = { file: place.file, outside: place.outside, flow: 'jobs', lease: 5_000, deadline }
  const first = crew.start(setup)
  await first.ready()
  const all: SlowData[] = [
    { id: 'very-slow', lane: 'very-slow', ms: verySlowMs },
    ...Array.from({ length: 25 }, (_, at) => ({ id: `slow-${at}`, lane: `slow-${at}`, ms: callMs })),
  ]
  first.ask({ what: 'slow', jobs: all })
  await until('six calls to be under way', () => count(place.outside, 'SELECT count(*) FROM calls') >= 6, {
    everyMs: 1,
  })
  const second = crew.start(setup)
  const startedAt = performance.now()
  first.signal('SIGTERM')
  await second.ready()
  const took = () => Math.round(performance.now() - startedAt)
  const handedOver = (async () => {
    await until('the other one to begin', () => count(place.outside, `SELECT count(DISTINCT pid) FROM calls`) === 2)
    t.diagnostic(`the other process began with the queue ${took()} ms after SIGTERM`)
    return took()
  })()
  const { code } = await first.exited
  const tookMs = took()
  t.diagnostic(`stopped ${tookMs} ms after SIGTERM, deadline ${deadline} ms`)
  assert.equal(code, 0)
  const stopped = first.reports.find((report) => report.what === 'stopped')
  assert.ok(stopped!.tookMs <= deadline + 500, `stop() took ${stopped!.tookMs} ms`)
  assert.ok(tookMs < verySlowMs - 500, `the process ended after ${tookMs} ms`)
  assert.ok((await handedOver) < deadline, 'the queue does not wait for the slow call')
  await until(
    'everything to be done',
    () => count(place.file, `SELECT count(*) FROM effects WHERE what = 'done'`) === 26,
  )
  second.signal('SIGTERM')
  await second.exited

  const effects = rows<{ subject: string; pid: number; attempt: number }>(
    place.file,
    `SELECT subject, pid, attempt FROM effects WHERE what = 'slow' ORDER BY rowid`,
  )
  assert.equal(effects.length, 26)
  assert.equal(new Set(effects.map(({ subject }) => subject)).size, 26)
  assert.deepEqual([...new Set(effects.map(({ attempt }) => attempt))], [1], 'handing over is no attempt')
  const calls = rows<{ subject: string; keys: number; begun: number }>(
    place.outside,
    `SELECT subject, count(DISTINCT key) AS keys, count(*) AS begun FROM calls WHERE what = 'begin' GROUP BY subject`,
  )
  const repeated = calls.filter(({ begun }) => begun > 1)
  assert.deepEqual(
    repeated.map(({ subject, keys }) => ({ subject, keys })),
    [{ subject: 'very-slow', keys: 1 }],
    'only the aborted call is made again, with the same key',
  )
  const finishedFirst = new Set(effects.slice(0, 5).map(({ pid }) => pid))
  assert.equal(finishedFirst.size, 1)
  assert.deepEqual(leftovers(place.file), [])
})

test('stop() comes back after its deadline although a handler never ends', async (t) => {
  using place = new Place()
  await using crew = new Crew()
  prepare(place.file, jobTables, place.outside)
  const setup: Setup = { file: place.file, outside: place.outside, flow: 'jobs', deadline: 300 }
  const first = crew.start(setup)
  await first.ready()
  first.ask({ what: 'job', jobs: [{ id: 'endless', lane: 'a', number: 1, holdMs: 60_000 }] })
  await until('the handler to run', () => count(place.outside, 'SELECT count(*) FROM calls') === 1)
  const startedAt = performance.now()
  first.signal('SIGTERM')
  await first.told((report) => report.what === 'stopped')
  const tookMs = Math.round(performance.now() - startedAt)
  t.diagnostic(`stop() came back after ${tookMs} ms, deadline 300 ms`)
  assert.ok(tookMs < 300 + 500, `${tookMs} ms`)
  await first.kill()
})
