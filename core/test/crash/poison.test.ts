/** An event that kills the process that looks at it or handles it: it is tried again by the next one, and the others are handled once. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { count, prepare, rows } from './audit.ts'
import { Crew, Place, until, type Member } from './crew.ts'
import { openOutside } from './outside.ts'
import { jobTables, type JobData, type LookData, type SlowData } from './job-flow.ts'
import type { Order, Setup } from './member.ts'

const lease = 200

/** Keeps one process running, as a supervisor would, until told to stop. */
function supervise(crew: Crew, setup: Setup): { readonly current: () => Member; deaths: number; ended: boolean } {
  let member = crew.start(setup)
  const state = { current: () => member, deaths: 0, ended: false }
  const watch = () =>
    void member.exited.then(() => {
      if (state.ended) return
      state.deaths += 1
      member = crew.start(setup)
      watch()
    })
  watch()
  return state
}

const jobsWith = (kills: number): JobData[] =>
  Array.from({ length: 30 }, (_, at) => ({
    id: `job-${at}`,
    lane: `lane-${at}`,
    number: at,
    ...(at === 7 && { kills }),
  }))

const slowJobsWith = (kills: number): SlowData[] =>
  jobsWith(kills).map(({ id, lane, kills }) => ({ id, lane, ms: 1, ...(kills && { kills }) }))

interface Task {
  readonly isDone: () => boolean
  /** The service that handles them. Default: `jobs`. */
  readonly worker?: string
}

/** Hands out the jobs, and keeps a process at work on them until it is done; returns how many have died. */
async function run(place: Place, order: Order, { isDone, worker = 'jobs' }: Task): Promise<number> {
  await using crew = new Crew()
  prepare(place.file, jobTables, place.outside)
  const setup: Setup = { file: place.file, outside: place.outside, flow: 'jobs', lease }
  // All services are known to the ledger before the first event.
  const first = crew.start(setup)
  await first.ready()
  first.signal('SIGTERM')
  await first.exited
  const publisher = crew.start({ ...setup, services: ['counter'] })
  await publisher.ready()
  publisher.ask(order)
  await until('all events to be there', () => count(place.file, 'SELECT count(*) FROM quadrille_events') === 30)
  const supervised = supervise(crew, { ...setup, services: [worker], silent: true })
  try {
    await until('the end', isDone, { timeoutMs: 120_000 })
  } finally {
    supervised.ended = true
  }
  return supervised.deaths
}

const effects = (place: Place, what = 'job') =>
  rows<{ subject: string; times: number }>(
    place.file,
    `SELECT subject, count(*) AS times FROM effects WHERE what = ? GROUP BY subject`,
    what,
  )

test('an event that kills its process three times is handled at the fourth, and the others once', async (t) => {
  using place = new Place()
  const deaths = await run(place, { what: 'job', jobs: jobsWith(3) }, { isDone: () => effects(place).length === 30 })
  t.diagnostic(`${deaths} deaths`)
  assert.equal(deaths, 3)
  assert.deepEqual(
    effects(place).filter(({ times }) => times !== 1),
    [],
  )
})

const lookJobs = (where: LookData['where'], deadly: number, kills: number): LookData[] =>
  Array.from({ length: 30 }, (_, at) => ({
    id: `job-${at}`,
    lane: `lane-${at}`,
    number: at,
    where,
    ...(at === deadly && { kills }),
  }))

/** More than there are attempts. */
const always = 1_000

interface Letter {
  readonly code: string
  readonly event: { readonly key: string; readonly data: string }
  readonly tries: { readonly code: string }[]
}

const lettersIn = (place: Place): Letter[] =>
  rows<{ body: string }>(place.file, `SELECT body FROM quadrille_records WHERE kind = 'dead'`).map(
    ({ body }) => JSON.parse(body) as Letter,
  )

for (const [what, order] of [
  ['job', { what: 'job', jobs: jobsWith(always) }],
  ['slow', { what: 'slow', jobs: slowJobsWith(always) }],
] as const) {
  const where = what === 'job' ? 'handler' : 'call'
  test(`an event whose ${where} always kills its process becomes a dead letter, and the others are handled once`, async () => {
    using place = new Place()
    const letters = () => lettersIn(place)
    const deaths = await run(place, order, {
      isDone: () => effects(place, what).length === 29 && letters().length === 1,
    })
    // Two until what begins is marked; with 29 others, with six others, and alone, once for each attempt.
    assert.ok(deaths >= 2 + 5 && deaths <= 2 + 4 + 5, `${deaths} deaths`)
    assert.deepEqual(
      effects(place, what).filter(({ times }) => times !== 1),
      [],
    )
    const [letter] = letters()
    assert.equal(letter?.event.key, 'lane-7')
    assert.deepEqual(
      letter?.tries.map(({ code }) => code),
      Array.from({ length: 5 }, () => 'PROCESS_DIED'),
    )
  })
}

for (const where of ['schema', 'upcast', 'filter'] as const) {
  test(`an event whose ${where} always kills its process becomes a dead letter, and the others are handled once`, async (t) => {
    using place = new Place()
    const jobs = lookJobs(where, 8, always)
    const isDone = () => effects(place, 'look').length === 14 && lettersIn(place).length === 1
    const deaths = await run(place, { what: 'look', jobs }, { isDone })
    t.diagnostic(`${deaths} deaths`)
    // Two until what is looked at is marked; with 29 others, with six others, and alone, once for each attempt.
    assert.ok(deaths >= 2 + 5 && deaths <= 2 + 4 + 5, `${deaths} deaths`)
    assert.deepEqual(
      effects(place, 'look').filter(({ times }) => times !== 1),
      [],
    )
    const [letter] = lettersIn(place)
    assert.equal(letter?.event.key, 'lane-8')
    assert.equal(letter?.event.data, JSON.stringify(jobs[8]))
    assert.deepEqual(
      letter?.tries.map(({ code }) => code),
      Array.from({ length: 5 }, () => 'PROCESS_DIED'),
    )
  })
}

const noneLeft = (place: Place): boolean =>
  count(place.file, `SELECT count(*) FROM quadrille_records WHERE kind GLOB 'work/*'`) === 0 &&
  count(place.outside, 'SELECT count(*) FROM deaths') === 6

for (const [number, times] of [
  [8, 1],
  [9, 0],
] as const) {
  const what = times === 1 ? 'is handled once' : 'is none of the reaction’s business'
  test(`an event whose filter has killed six processes and then says that it ${what}`, async () => {
    using place = new Place()
    const isDone = () => effects(place, 'look').length === 15 && noneLeft(place)
    const deaths = await run(place, { what: 'look', jobs: lookJobs('filter', number, 6) }, { isDone })
    assert.equal(deaths, 6)
    assert.deepEqual(
      effects(place, 'look').filter((each) => each.times !== 1),
      [],
    )
    assert.equal(effects(place, 'look').filter(({ subject }) => subject === `job-${number}`).length, times)
    assert.deepEqual(lettersIn(place), [])
  })
}

test('an event whose schema has killed six processes, and is two parts of a join, is both', async () => {
  using place = new Place()
  const order: Order = { what: 'look', jobs: lookJobs('schema', 8, 6) }
  const isDone = () => effects(place, 'pair').length === 1 && noneLeft(place)
  assert.equal(await run(place, order, { isDone, worker: 'pairs' }), 6)
  assert.deepEqual(
    effects(place, 'pair').map(({ subject, times }) => [subject, times]),
    [['job-8', 1]],
  )
})

test('an event that kills its process only when it has been collected becomes a dead letter, and the others are handled once', async (t) => {
  using place = new Place()
  const order: Order = { what: 'look', jobs: lookJobs('later', 8, always) }
  const isCollected = () =>
    count(place.file, `SELECT count(*) FROM quadrille_records WHERE kind = 'batch/collect'`) === 30
  let isArmed = false
  const isDone = () => {
    if (!isArmed && isCollected()) {
      isArmed = true
      const outside = openOutside(place.outside)
      outside.exec("INSERT INTO calls VALUES ('later', '', 'later', 0)")
      outside.close()
    }
    return effects(place, 'collect').length === 29 && lettersIn(place).length === 1
  }
  const deaths = await run(place, order, { isDone, worker: 'collecting' })
  t.diagnostic(`${deaths} deaths`)
  assert.ok(isArmed)
  // Two until what is looked at is marked; with 29 others, with six others, and alone, once for each attempt.
  assert.ok(deaths >= 2 + 3 && deaths <= 2 + 4 + 3, `${deaths} deaths`)
  assert.deepEqual(
    effects(place, 'collect').filter(({ times }) => times !== 1),
    [],
  )
  assert.deepEqual([lettersIn(place)[0]?.event.key, lettersIn(place)[0]?.code], ['lane-8', 'PROCESS_DIED'])
})

/** Runs processes that get the same foreign messages until all of them are done with; returns how many have died. */
async function map(place: Place, legacy: readonly JobData[], isDone: () => boolean): Promise<number> {
  await using crew = new Crew()
  prepare(place.file, jobTables, place.outside)
  const supervised = supervise(crew, { ...place, flow: 'jobs', services: ['jobs'], lease, legacy, silent: true })
  try {
    await until('the end', isDone, { timeoutMs: 120_000 })
  } finally {
    supervised.ended = true
  }
  return supervised.deaths
}

interface ForeignLetter {
  readonly code: string
  readonly bytes: string
  readonly from: { readonly wire: string; readonly channel: string }
}

const marksIn = (place: Place): number =>
  count(place.file, `SELECT count(*) FROM quadrille_records WHERE kind = 'mapping' AND id GLOB 'alone*'`)

test('a foreign message whose mapping always kills its process becomes a dead letter with its bytes, and the others are handled once', async () => {
  using place = new Place()
  const jobs = jobsWith(always)
  const letters = () => lettersIn(place) as unknown as ForeignLetter[]
  const deaths = await map(place, jobs, () => effects(place).length === 29 && letters().length === 1)
  // Once with the others, and three times alone.
  assert.equal(deaths, 1 + 3)
  assert.deepEqual(
    effects(place).filter(({ subject, times }) => times !== 1 || subject === 'job-7'),
    [],
  )
  const [letter] = letters()
  assert.deepEqual([letter?.code, letter?.from.wire, letter?.from.channel], ['PROCESS_DIED', 'memory', 'legacy.jobs'])
  assert.equal(Buffer.from(letter!.bytes, 'base64').toString(), JSON.stringify(jobs[7]))
  assert.equal(marksIn(place), 0)
})

test('a foreign message whose mapping has killed three processes is handled once, with all others', async () => {
  using place = new Place()
  const deaths = await map(place, jobsWith(3), () => effects(place).length === 30)
  assert.equal(deaths, 3)
  assert.deepEqual(
    effects(place).filter(({ times }) => times !== 1),
    [],
  )
  assert.deepEqual(lettersIn(place), [])
  assert.equal(marksIn(place), 0)
})
