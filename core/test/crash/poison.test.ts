/** An event that kills the process that handles it: it is tried again by the next one, and the others are handled once. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { count, prepare, rows } from './audit.ts'
import { Crew, Place, until, type Member } from './crew.ts'
import { jobTables, type JobData, type SlowData } from './job-flow.ts'
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

/** Hands out the jobs, and keeps a process at work on them until it is done; returns how many have died. */
async function run(place: Place, order: Order, isDone: () => boolean): Promise<number> {
  await using crew = new Crew()
  prepare(place.file, jobTables, place.outside)
  const setup: Setup = { file: place.file, outside: place.outside, flow: 'jobs', lease }
  // Both services are known to the ledger before the first event.
  const first = crew.start(setup)
  await first.ready()
  first.signal('SIGTERM')
  await first.exited
  const publisher = crew.start({ ...setup, services: ['counter'] })
  await publisher.ready()
  publisher.ask(order)
  await until('all events to be there', () => count(place.file, 'SELECT count(*) FROM quadrille_events') === 30)
  const supervised = supervise(crew, { ...setup, services: ['jobs'], silent: true })
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
  const deaths = await run(place, { what: 'job', jobs: jobsWith(3) }, () => effects(place).length === 30)
  t.diagnostic(`${deaths} deaths`)
  assert.equal(deaths, 3)
  assert.deepEqual(
    effects(place).filter(({ times }) => times !== 1),
    [],
  )
})

/** More than there are attempts. */
const always = 1_000

for (const [what, order] of [
  ['job', { what: 'job', jobs: jobsWith(always) }],
  ['slow', { what: 'slow', jobs: slowJobsWith(always) }],
] as const) {
  const where = what === 'job' ? 'handler' : 'call'
  test(`an event whose ${where} always kills its process becomes a dead letter, and the others are handled once`, async () => {
    using place = new Place()
    const letters = () =>
      rows<{ body: string }>(place.file, `SELECT body FROM quadrille_records WHERE kind = 'dead'`).map(
        ({ body }) => JSON.parse(body) as { code: string; event: { key: string }; tries: { code: string }[] },
      )
    const deaths = await run(place, order, () => effects(place, what).length === 29 && letters().length === 1)
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
