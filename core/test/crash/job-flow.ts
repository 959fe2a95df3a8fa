/** The smallest crash subject: jobs that leave a row each, and slow ones with a call to the outside. */
import type { DatabaseSync } from 'node:sqlite'
import { event, service, type AnyService, type Emitted, type ForeignMessage, type StandardSchema } from 'quadrille'
import { nodeSqlite } from 'quadrille/sqlite'
import { lazily } from './outside.ts'
import { plain } from './plain-schema.ts'

/** One job. `kills`: so many processes die of it. `holdMs`: holds its transaction open for so long. */
export interface JobData {
  readonly id: string
  readonly lane: string
  readonly number: number
  readonly kills?: number
  readonly holdMs?: number
}

/** A job whose call takes `ms`, and of which so many processes die. */
export interface SlowData {
  readonly id: string
  readonly lane: string
  readonly ms: number
  readonly kills?: number
}

/** A job that kills so many processes before anybody handles it: those that look at it, by what they look with. */
export interface LookData {
  readonly id: string
  readonly lane: string
  readonly number: number
  /** `later`: the schema kills, but only once the test has said so in the outside world. */
  readonly where: 'schema' | 'upcast' | 'filter' | 'later'
  readonly kills?: number
}

/** What kills in this process; whoever publishes looks, too, and goes on. */
let lookDeadly: (job: LookData, where: LookData['where']) => void = () => {}

/** The job as it is published, which is never looked at with anything that kills. */
export const LookOld = event('look', { key: 'lane', schema: plain<LookData>() })
const deadlySchema: StandardSchema<LookData, LookData> = {
  '~standard': {
    version: 1,
    vendor: 'quadrille-test',
    validate: (value) => {
      for (const where of ['schema', 'later'] as const) lookDeadly(value as LookData, where)
      return { value: value as LookData }
    },
  },
}
export const Look = LookOld.version(2, {
  schema: deadlySchema,
  upcast: (job) => (lookDeadly(job, 'upcast'), job),
})

export const Job = event('job', { key: 'lane', schema: plain<JobData>() })
export const Slow = event('slow', { key: 'lane', schema: plain<SlowData>() })
export const JobDone = event('job.done', { key: 'lane', schema: plain<{ id: string; lane: string }>() })

export const jobTables = `
  CREATE TABLE IF NOT EXISTS effects (what TEXT NOT NULL, subject TEXT NOT NULL, number INTEGER NOT NULL, event_id TEXT NOT NULL,
    pid INTEGER NOT NULL, attempt INTEGER NOT NULL)`

const insert = 'INSERT INTO effects (what, subject, number, event_id, pid, attempt) VALUES (?, ?, ?, ?, ?, ?)'
const db = nodeSqlite()

/** Calls a mapping for a job as a foreign system would send it; a process may die of it. */
export function legacyJob(outside: string): (message: ForeignMessage) => Emitted {
  const dieOf = deadlyIn(lazily(outside))
  return (message) => {
    const job = message.json() as JobData
    if (job.kills !== undefined) dieOf(job.id, job.kills)
    return Job({ id: job.id, lane: job.lane, number: job.number }, { id: job.id })
  }
}

/** Ends the process, so many times for each subject. */
const deadlyIn = (world: () => DatabaseSync) => (id: string, times: number) => {
  const { count } = world().prepare('SELECT count(*) AS count FROM deaths WHERE subject = ?').get(id)!
  if ((count as number) >= times) return
  world().prepare('INSERT INTO deaths VALUES (?, ?)').run(id, process.pid)
  process.kill(process.pid, 'SIGKILL')
  // The signal comes when it comes; nothing more may happen here.
  for (;;);
}

/** One service with all kinds, and one that counts what they have led to. `mayDie`: also where the publisher looks. */
export function jobServices(outside: string, mayDie = false): AnyService[] {
  const world = lazily(outside)
  const note = (key: string, subject: string, what: string) =>
    world().prepare('INSERT INTO calls VALUES (?, ?, ?, ?)').run(key, subject, what, process.pid)
  const jobs = service('jobs', { db, retry: { attempts: 5, base: 20, max: 100 } })
    .on(Job, { emits: [JobDone] }, async (job, { db, event, attempt }) => {
      if (job.kills !== undefined) dieOf(job.id, job.kills)
      if (job.holdMs !== undefined) note(event.id, job.id, 'hold')
      if (job.holdMs !== undefined) await new Promise((resolve) => setTimeout(resolve, job.holdMs))
      db.prepare(insert).run('job', job.id, job.number, event.id, process.pid, attempt)
      return JobDone({ id: job.id, lane: job.lane })
    })
    .on(
      Slow,
      {
        emits: [JobDone],
        concurrency: 6,
        call: async (job, { idempotencyKey, signal }) => {
          note(idempotencyKey, job.id, 'begin')
          if (job.kills !== undefined) dieOf(job.id, job.kills)
          await new Promise<void>((resolve, reject) => {
            const timer = setTimeout(resolve, job.ms)
            signal.addEventListener('abort', () => {
              clearTimeout(timer)
              note(idempotencyKey, job.id, 'abort')
              reject(new Error('aborted'))
            })
          })
          note(idempotencyKey, job.id, 'end')
          return { key: idempotencyKey }
        },
      },
      (job, { db, event, attempt }) => {
        db.prepare(insert).run('slow', job.id, 0, event.id, process.pid, attempt)
        return JobDone({ id: job.id, lane: job.lane })
      },
    )
    .on(Look, { filter: (job) => (lookDeadly(job, 'filter'), job.number % 2 === 0) }, (job, { db, event, attempt }) => {
      db.prepare(insert).run('look', job.id, job.number, event.id, process.pid, attempt)
    })
  const counter = service('counter', { db }).on(JobDone, ({ id }, { db, event, attempt }) => {
    db.prepare(insert).run('done', id, 0, event.id, process.pid, attempt)
  })
  // One job is both parts at once.
  const pairs = service('pairs', { db }).all(
    [Look.where({ where: 'schema' }), Look.where({ number: 8 })],
    { name: 'pair' },
    ([job], { db, event, attempt }) => {
      db.prepare(insert).run('pair', job.id, job.number, event.id, process.pid, attempt)
    },
  )
  const collecting = service('collecting', { db, retry: { attempts: 3, base: 20, max: 100 } }).on(
    Look,
    { name: 'collect', batch: { size: 100, within: '1500ms' } },
    (jobs, { db, events }) => {
      for (const [at, job] of jobs.entries())
        db.prepare(insert).run('collect', job.id, job.number, events[at]!.id, process.pid, 1)
    },
  )
  const isLater = () =>
    world().prepare("SELECT count(*) AS count FROM calls WHERE what = 'later'").get()!['count'] !== 0
  const dieOf = deadlyIn(world)
  if (mayDie)
    lookDeadly = (job, where) =>
      void (job.kills && job.where === where && (where !== 'later' || isLater()) && dieOf(job.id, job.kills))
  return [jobs, counter, pairs, collecting]
}
