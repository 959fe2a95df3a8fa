/** Somebody else writes to the same file again and again, 300 ms each time: that is slow, and nothing else. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { Worker } from 'node:worker_threads'
import { DatabaseSync } from 'node:sqlite'
import { service, silentLogger, start, type Logger } from 'quadrille'
import { nodeSqlite, sqlite } from 'quadrille/sqlite'
import { leftovers, prepare, rows } from './audit.ts'
import { Place, until } from './crew.ts'
import { Job, jobServices, jobTables } from './job-flow.ts'

const holdMs = 300
const pauseMs = 40

/** A thread with a connection of its own: to SQLite it is another process. */
const hog = `
  const { workerData, parentPort } = require('node:worker_threads')
  const { DatabaseSync } = require('node:sqlite')
  const db = new DatabaseSync(workerData.file, { timeout: 5000 })
  db.exec('CREATE TABLE IF NOT EXISTS hog (turn INTEGER)')
  const wait = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
  for (let turn = 1; turn <= workerData.turns; turn++) {
    db.exec('BEGIN IMMEDIATE')
    db.prepare('INSERT INTO hog VALUES (?)').run(turn)
    wait(workerData.holdMs)
    db.exec('COMMIT')
    parentPort.postMessage(turn)
    wait(workerData.pauseMs)
  }`

/** How long ticks come late: their share of the time, and the longest. */
function watchEventLoop(): () => { readonly share: number; readonly longestMs: number } {
  const tickMs = 10
  const startedAt = performance.now()
  let last = startedAt
  let lateMs = 0
  let longestMs = 0
  const timer = setInterval(() => {
    const now = performance.now()
    lateMs += Math.max(0, now - last - tickMs)
    longestMs = Math.max(longestMs, Math.round(now - last - tickMs))
    last = now
  }, tickMs)
  return () => {
    clearInterval(timer)
    return { share: lateMs / (performance.now() - startedAt), longestMs }
  }
}

test('a database that others keep busy: no error, nothing lost, and the event loop stays free', async (t) => {
  using place = new Place()
  prepare(place.file, jobTables, place.outside)
  const complaints: string[] = []
  const complain = (facts: object, message: string) => complaints.push(`${message} ${JSON.stringify(facts)}`)
  const log: Logger = { debug: () => {}, info: () => {}, warn: complain, error: complain }
  const services = jobServices(place.outside)
  // Without waits for the disk, which hold up the event loop too, and longer the busier the machine is.
  const ledger = sqlite(place.file, { synchronous: 'NORMAL' })
  const app = await start({ services, ledger, log, lease: 1_000 })
  const worker = new Worker(hog, { eval: true, workerData: { file: place.file, holdMs, pauseMs, turns: 12 } })
  let turns = 0
  worker.on('message', (turn: number) => (turns = turn))
  const stalls = watchEventLoop()
  const waits: number[] = []
  let number = 0
  while (turns < 11) {
    const startedAt = performance.now()
    const lane = `lane-${number % 5}`
    await Promise.all([
      app.publish(Job({ id: `a-${number}`, lane, number })),
      app.publish(Job({ id: `b-${number}`, lane, number })),
    ])
    waits.push(performance.now() - startedAt)
    number += 1
  }
  await worker.terminate()
  await app.quiet()
  const { share, longestMs } = stalls()
  const done = rows<{ what: string; total: number; subjects: number }>(
    place.file,
    'SELECT what, count(*) AS total, count(DISTINCT subject) AS subjects FROM effects GROUP BY what ORDER BY what',
  )
  assert.deepEqual(
    done.map((row) => ({ ...row })),
    [
      { what: 'done', total: 2 * number, subjects: 2 * number },
      { what: 'job', total: 2 * number, subjects: 2 * number },
    ],
  )
  assert.deepEqual(leftovers(place.file), [])
  assert.deepEqual(complaints, [])
  await app.stop()
  t.diagnostic(`${2 * number} publishes, the longest waited ${Math.round(Math.max(...waits))} ms`)
  t.diagnostic(
    `the event loop stood still for ${Math.round(share * 100)} % of the time, at most ${longestMs} ms at once`,
  )
  // Whoever lets SQLite wait stands still for nearly nine tenths of the time.
  assert.ok(share < 0.6, 'whoever waits for the lock must not hold up the event loop')
})

test('a handler that collides with its own transaction is a failure of that handler, and the others go on', async () => {
  using place = new Place()
  prepare(place.file, jobTables, place.outside)
  const insert = `INSERT INTO effects VALUES ('own', ?, 0, '', 0, 0)`
  // A connection of its own: it waits for the very transaction in which it runs.
  const own = new DatabaseSync(place.file, { timeout: 0 })
  const wrong = service('wrong', { db: nodeSqlite(), retry: { attempts: 2, base: 1 } })
    .on(Job, { name: 'wrong' }, ({ id }) => void own.prepare(insert).run(id))
    .on(Job, { name: 'right' }, ({ id }, { db }) => void db.prepare(insert).run(id))
  const app = await start({ services: [wrong], ledger: sqlite(place.file), log: silentLogger })
  await app.publish(Job({ id: 'a', lane: 'a', number: 1 }))
  await until('the dead letter', async () => (await app.deadLetters.list()).length === 1)
  const [letter] = await app.deadLetters.list()
  assert.equal(letter!.reaction, 'wrong')
  assert.match(letter!.message, /locked/)
  assert.equal(rows(place.file, 'SELECT * FROM effects').length, 1)
  await app.stop()
  own.close()
})
