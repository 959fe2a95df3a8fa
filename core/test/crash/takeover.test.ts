/** Partitions change hands: by death, by a process that only slept, and by processes that come and go. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { service, silentLogger, start, type AnyService, type Ledger } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import { count, leftovers, prepare, rows } from './audit.ts'
import { Crew, Place, until, type Member } from './crew.ts'
import { Job, jobServices, jobTables, type JobData, type SlowData } from './job-flow.ts'
import type { Setup } from './member.ts'

const lease = 300
const partitions = 16
/** Reacts to nothing: for publishing. */
const quiet = service('quiet')

const setupOf = (place: Place, more: Partial<Setup> = {}): Setup => ({
  file: place.file,
  outside: place.outside,
  flow: 'jobs',
  lease,
  ...more,
})

/** So many jobs; each lane gets its own in order. */
const jobs = (from: number, to: number, lanes = 40): JobData[] =>
  Array.from({ length: to - from }, (_, at) => {
    const number = from + at
    return { id: `job-${number}`, lane: `lane-${number % lanes}`, number }
  })

const held = (place: Place, reader = 'jobs') =>
  rows<{ owner: string; held: number }>(
    place.file,
    'SELECT owner, count(*) AS held FROM quadrille_leases WHERE reader = ? AND owner IS NOT NULL GROUP BY owner ORDER BY held DESC',
    reader,
  ).map((row) => row.held)

const done = (place: Place, what: string) => count(place.file, 'SELECT count(*) FROM effects WHERE what = ?', what)

/** Every effect once, every lane in order, nothing left. */
function assertOnce(place: Place, expected: Record<string, number>): void {
  const totals = rows<{ what: string; total: number; subjects: number }>(
    place.file,
    'SELECT what, count(*) AS total, count(DISTINCT subject) AS subjects FROM effects GROUP BY what',
  )
  const seen = Object.fromEntries(totals.map(({ what, total, subjects }) => [what, [total, subjects]]))
  assert.deepEqual(seen, Object.fromEntries(Object.entries(expected).map(([what, total]) => [what, [total, total]])))
  const inverted = count(
    place.file,
    `SELECT count(*) FROM effects a JOIN effects b ON a.what = 'job' AND b.what = 'job' AND b.rowid > a.rowid
     AND b.number < a.number AND b.number % 40 = a.number % 40`,
  )
  assert.equal(inverted, 0, 'the order of every lane is kept')
  assert.deepEqual(leftovers(place.file), [])
}

test('when a process dies holding everything, another one finishes its work within the lease and a second', async (t) => {
  using place = new Place()
  await using crew = new Crew()
  prepare(place.file, jobTables, place.outside)
  const first = crew.start(setupOf(place))
  await first.ready()
  await until('all partitions to be held', () => held(place)[0] === partitions)
  // The dead one leaves a backlog and calls under way.
  const slow: SlowData[] = Array.from({ length: 6 }, (_, at) => ({ id: `slow-${at}`, lane: `slow-${at}`, ms: 200 }))
  first.ask({ what: 'slow', jobs: slow })
  await until('calls to be under way', () => count(place.outside, 'SELECT count(*) FROM calls') > 0)
  first.ask({ what: 'job', jobs: jobs(0, 400) })
  await until('some jobs to be done', () => done(place, 'job') > 0, { everyMs: 1 })
  await first.kill()
  const second = crew.start(setupOf(place))
  await second.ready()
  const startedAt = performance.now()
  const acknowledged = count(place.file, `SELECT count(*) FROM quadrille_events WHERE type = 'job'`)
  await until('everything to be done', () => done(place, 'done') >= acknowledged + slow.length)
  const tookMs = performance.now() - startedAt
  t.diagnostic(`taken over and finished ${Math.round(tookMs)} ms after the start, lease ${lease} ms`)
  assert.ok(tookMs < lease + 2_500, `${tookMs} ms`)
  await stop(second)
  assertOnce(place, { job: acknowledged, slow: slow.length, done: acknowledged + slow.length })
})

test('a process that slept past its lease commits nothing for what it has lost, and goes on with what it gets', async (t) => {
  using place = new Place()
  await using crew = new Crew()
  prepare(place.file, jobTables, place.outside)
  const sleeper = crew.start(setupOf(place, { services: ['jobs'] }))
  await sleeper.ready()
  await until('all partitions to be held', () => held(place)[0] === partitions)
  // Long enough that it is stopped in the middle of them on a busy machine, too.
  const slow: SlowData[] = Array.from({ length: 6 }, (_, at) => ({ id: `slow-${at}`, lane: `slow-${at}`, ms: 1_000 }))
  sleeper.ask({ what: 'slow', jobs: slow })
  const begun = () => count(place.outside, `SELECT count(*) FROM calls WHERE what = 'begin'`)
  await until('all calls to be under way', () => begun() === slow.length, { everyMs: 1 })
  await sleeper.fallAsleep(place.file)
  const other = crew.start(setupOf(place))
  await other.ready()
  other.ask({ what: 'job', jobs: jobs(0, 100) })
  await until('the other one to do everything', () => done(place, 'done') >= 100 + slow.length)
  sleeper.signal('SIGCONT')
  await sleeper.told((report) => report.what === 'log' && report.code === 'LEASE_LOST')
  await until('the sleeper to get its share again', () => held(place).length === 2 && held(place)[0] === 8)
  other.ask({ what: 'job', jobs: jobs(100, 500) })
  await until('the rest to be done', () => done(place, 'done') >= 500 + slow.length)
  const bySleeper = count(
    place.file,
    `SELECT count(*) FROM effects WHERE what = 'job' AND pid <> (SELECT pid FROM effects WHERE what = 'done' LIMIT 1)`,
  )
  t.diagnostic(`${bySleeper} jobs were done by the one that had slept`)
  assert.ok(bySleeper > 0, 'it works on with what it has leased anew')
  const keys = rows<{ keys: number }>(
    place.outside,
    'SELECT count(DISTINCT key) AS keys FROM calls GROUP BY subject HAVING keys > 1',
  )
  assert.deepEqual(keys, [], 'a repeated call has the same key')
  await stop(sleeper, other)
  assertOnce(place, { job: 500, slow: slow.length, done: 500 + slow.length })
})

test('work that was taken over and came back is not finished by the old call of the sleeper', async () => {
  using place = new Place()
  await using crew = new Crew()
  prepare(place.file, jobTables, place.outside)
  const sleeper = crew.start(setupOf(place, { services: ['jobs'] }))
  await sleeper.ready()
  await until('all partitions to be held', () => held(place)[0] === partitions)
  sleeper.ask({ what: 'slow', jobs: [{ id: 'slow', lane: 'slow', ms: 2_500 }] })
  await until('the call to be under way', () => count(place.outside, 'SELECT count(*) FROM calls') === 1)
  await sleeper.fallAsleep(place.file)
  const other = crew.start(setupOf(place, { services: ['jobs'] }))
  await until('another one to hold everything', () => held(place)[0] === partitions && held(place).length === 1)
  await until('the other one to call too', () => count(place.outside, 'SELECT count(*) FROM calls') === 2)
  // Both calls end: the other's while the sleeper waits to wake up, the sleeper's when it holds everything again.
  await until('the other one to finish', () => done(place, 'slow') === 1)
  await other.kill()
  sleeper.signal('SIGCONT')
  await until('the sleeper to hold everything again', () => held(place).length === 1 && held(place)[0] === partitions)
  sleeper.ask({ what: 'job', jobs: jobs(0, 40) })
  await until('the sleeper to work on', () => done(place, 'job') === 40)
  await until(
    'the old call to end',
    () => rows<{ what: string }>(place.outside, `SELECT what FROM calls WHERE what <> 'begin'`).length >= 2,
  )
  await stop(sleeper)
  assertOnce(place, { job: 40, slow: 1 })
})

/** A ledger of a process that can be put to sleep on its way to the database. */
function sleepy(ledger: Ledger) {
  const bed = { asleep: false, waiting: 0, wake: () => {} }
  let morning = Promise.resolve()
  const sleep = () => {
    bed.asleep = true
    morning = new Promise((resolve) => (bed.wake = resolve))
  }
  const proxy = new Proxy(ledger, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      if (name !== 'transact' && name !== 'lease') return value.bind(target) as unknown
      return async (...given: unknown[]) => {
        if (bed.asleep && name === 'transact') bed.waiting += 1
        await morning
        return (value as (...given: unknown[]) => unknown).apply(target, given)
      }
    },
  })
  return { bed, sleep, ledger: proxy }
}

test('a batch that was ready when its process fell asleep is refused when it wakes up', async () => {
  using place = new Place()
  prepare(place.file, jobTables, place.outside)
  const [worker] = jobServices(place.outside) as [AnyService]
  const logged: string[] = []
  const log = { ...silentLogger, warn: (facts: { code?: string }) => void logged.push(facts.code ?? '') }
  const { bed, sleep, ledger } = sleepy(sqlite(place.file, { synchronous: 'NORMAL' }))
  const sleeper = await start({ services: [worker], ledger, lease: 200, poll: 50, log })
  await until('all partitions to be held', () => held(place)[0] === partitions)
  const shop = await start({ services: [quiet], ledger: sqlite(place.file, { synchronous: 'NORMAL' }) })
  sleep()
  await shop.publish(jobs(0, 20).map((job) => Job(job)))
  await until('the sleeper to have a batch ready', () => bed.waiting > 0)
  const other = await start({ services: [worker], ledger: sqlite(place.file), lease: 200 })
  await until('the other one to do it', () => done(place, 'job') >= 20)
  bed.wake()
  await until('the sleeper to notice', () => logged.includes('LEASE_LOST'))
  await shop.publish(jobs(20, 40).map((job) => Job(job)))
  await until('the rest to be done', () => done(place, 'job') >= 40)
  await Promise.all([sleeper.stop(), other.stop(), shop.stop()])
  assertOnce(place, { job: 40 })
})

test('partitions spread evenly as processes come and go, and no effect doubles while they move', async (t) => {
  using place = new Place()
  await using crew = new Crew()
  prepare(place.file, jobTables, place.outside)
  const load = new Load()
  const one = crew.start(setupOf(place))
  await one.ready()
  await until('one to hold everything', () => held(place)[0] === partitions)
  const stopLoad = load.start(one)
  const two = crew.start(setupOf(place))
  const three = crew.start(setupOf(place))
  await Promise.all([two.ready(), three.ready()])
  const spreadMs = await until('three to share', () => {
    const now = held(place)
    return now.length === 3 && now.every((many) => many >= 4 && many <= 6)
  })
  t.diagnostic(`shared as ${held(place).join('/')} after ${Math.round(spreadMs)} ms, lease ${lease} ms`)
  await two.kill()
  await stop(three)
  const backMs = await until('one to hold everything again', () => held(place)[0] === partitions)
  t.diagnostic(`one held everything ${Math.round(backMs)} ms after a death and a stop`)
  assert.ok(spreadMs < 4 * lease + 1_500 && backMs < 4 * lease + 1_500)
  const asked = stopLoad()
  await until('the load to be done', () => done(place, 'done') >= asked)
  await stop(one)
  t.diagnostic(`${asked} jobs meanwhile`)
  assertOnce(place, { job: asked, done: asked })
})

/** Asks for jobs steadily. */
class Load {
  #asked = 0

  start(through: Member): () => number {
    const timer = setInterval(() => {
      through.ask({ what: 'job', jobs: jobs(this.#asked, (this.#asked += 20)) })
    }, 20)
    return () => {
      clearInterval(timer)
      return this.#asked
    }
  }
}

async function stop(...members: readonly Member[]): Promise<void> {
  for (const member of members) member.signal('SIGTERM')
  for (const { code, signal } of await Promise.all(members.map((member) => member.exited)))
    assert.deepEqual({ code, signal }, { code: 0, signal: null })
}
