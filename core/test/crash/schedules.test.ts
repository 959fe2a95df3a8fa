/**
 * Random schedules over the real runtime on a file: apps that start, stop and are cut off from their ledger before or
 * after a commit, duplicates, redeliveries, order mixed up across keys. Whatever happens, every effect is there once.
 */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { event, service, silentLogger, start, type App, type Ledger } from 'quadrille'
import { nodeSqlite, sqlite } from 'quadrille/sqlite'
import { leftovers, prepare, rows } from './audit.ts'
import { pause, Place, seeded } from './crew.ts'
import { plain } from './plain-schema.ts'

interface Step {
  readonly id: string
  readonly lane: string
  readonly turn: number
}

const First = event('first', { key: 'lane', schema: plain<Step>() })
const Second = event('second', { key: 'lane', schema: plain<Step>() })
const Third = event('third', { key: 'lane', schema: plain<Step>() })

const tables =
  'CREATE TABLE IF NOT EXISTS effects (what TEXT NOT NULL, id TEXT NOT NULL, lane TEXT NOT NULL, turn INTEGER NOT NULL)'

/** One step after the other: a plain one, one with a call, and a join of both. Some fail at their first tries. */
function services(random: () => number) {
  const db = nodeSqlite()
  const policy = { db, retry: { attempts: 50, base: 2, max: 10 } }
  const insert = 'INSERT INTO effects VALUES (?, ?, ?, ?)'
  const stumble = () => {
    if (random() < 0.08) throw new Error('a moment of weakness')
  }
  const one = service('one', policy).on(First, { emits: [Second] }, (step, { db }) => {
    db.prepare(insert).run('one', step.id, step.lane, step.turn)
    stumble()
    return Second({ ...step, lane: step.lane })
  })
  const two = service('two', policy).on(
    Second,
    {
      emits: [Third],
      call: async (step) => {
        await pause(random() * 4)
        stumble()
        return { id: step.id }
      },
    },
    (step, { db, result }) => {
      assert.equal(result.id, step.id)
      db.prepare(insert).run('two', step.id, step.lane, step.turn)
      stumble()
      return Third(step)
    },
  )
  const three = service('three', policy).on(Third, (step, { db }) => {
    stumble()
    db.prepare(insert).run('three', step.id, step.lane, step.turn)
  })
  return [one, two, three]
}

/** A ledger whose connection breaks now and then: before a transaction, or after its commit but before the answer. */
function unreliable(ledger: Ledger, random: () => number, share: () => number): Ledger {
  const cut = (when: string) => {
    if (random() < share()) throw new Error(`the connection was cut ${when}`)
  }
  return new Proxy(ledger, {
    get(target, name) {
      if (name === 'transact')
        return async (work: Parameters<Ledger['transact']>[0]) => {
          cut('before')
          const value = await target.transact(work)
          cut('after the commit')
          return value
        }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

const command = fc.oneof(
  { weight: 3, arbitrary: fc.record({ what: fc.constant('receive' as const), many: fc.integer({ min: 1, max: 30 }) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('again' as const), many: fc.integer({ min: 1, max: 20 }) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('start' as const) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('stop' as const) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('abort' as const) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 60 }) }) },
)
type Command = typeof command extends fc.Arbitrary<infer C> ? C : never

const appsMax = 3
const lanes = 6

/** One run of a schedule. */
class Run {
  readonly #place: Place
  readonly #random: () => number
  readonly #apps: App[] = []
  readonly #ends: Promise<void>[] = []
  readonly #sent: Uint8Array[] = []
  #trouble = 0.04
  #number = 0

  constructor(place: Place, seed: number) {
    this.#place = place
    this.#random = seeded(seed)
  }

  get count(): number {
    return this.#number
  }

  async play(commands: readonly Command[]): Promise<void> {
    await this.#start()
    for (const each of commands) {
      await this.#do(each)
      await pause(this.#random() * 8)
    }
    this.#trouble = 0
    await this.#start()
    await this.#receive(this.#sent)
    await Promise.all(this.#apps.splice(1).map((app) => app.stop()))
    await Promise.all(this.#ends)
    await this.#apps[0]!.quiet()
    await this.#untilDone()
    await this.#apps[0]!.stop()
  }

  async #do(each: Command): Promise<void> {
    if (each.what === 'start') return this.#start()
    if (each.what === 'wait') return pause(each.ms)
    if (each.what === 'receive') return this.#receive(this.#messages(each.many))
    if (each.what === 'again') return this.#receive(this.#sent.toSorted(() => this.#random() - 0.5).slice(0, each.many))
    if (this.#apps.length > 1) this.#ends.push(this.#apps.shift()!.stop({ deadline: each.what === 'stop' ? 2_000 : 0 }))
  }

  async #start(): Promise<void> {
    if (this.#apps.length === appsMax) return
    const ledger = unreliable(sqlite(this.#place.file, { synchronous: 'NORMAL' }), this.#random, () => this.#trouble)
    const options = { services: services(this.#random), ledger, log: silentLogger, lease: 120, poll: 40 }
    // A start that was cut off is tried again, as a supervisor would.
    for (;;) {
      try {
        this.#apps.push(await start({ ...options, batchMax: 1 + Math.floor(this.#random() * 40) }))
        return
      } catch (error) {
        if (!/cut/.test(String(error))) throw error
        options.ledger = unreliable(
          sqlite(this.#place.file, { synchronous: 'NORMAL' }),
          this.#random,
          () => this.#trouble,
        )
      }
    }
  }

  #messages(many: number): Uint8Array[] {
    const list = Array.from({ length: many }, () => {
      const turn = ++this.#number
      const lane = `lane-${turn % lanes}`
      return this.#message({ id: `step-${turn}`, lane, turn })
    })
    this.#sent.push(...list)
    return list
  }

  #message(step: Step): Uint8Array {
    return new TextEncoder().encode(
      JSON.stringify({
        specversion: '1.0',
        id: step.id,
        source: 'outside',
        type: 'first',
        time: new Date().toISOString(),
        datacontenttype: 'application/json',
        partitionkey: step.lane,
        data: step,
      }),
    )
  }

  /** As a wire does: again until it is acknowledged. */
  async #receive(messages: readonly Uint8Array[]): Promise<void> {
    const app = this.#apps[Math.floor(this.#random() * this.#apps.length)]!
    for (;;) {
      try {
        const { dead } = await app.receive(messages)
        assert.equal(dead, 0)
        return
      } catch (error) {
        if (!/cut/.test(String(error))) throw error
      }
    }
  }

  async #untilDone(): Promise<void> {
    for (let tries = 0; tries < 400; tries++) {
      const [{ total }] = rows<{ total: number }>(
        this.#place.file,
        `SELECT count(DISTINCT id) AS total FROM effects WHERE what = 'three'`,
      ) as [{ total: number }]
      if (total >= this.#number && leftovers(this.#place.file).length === 0) return
      await pause(20)
    }
  }
}

/** Each effect of each step once, and each lane in the order of the log. */
function judge(place: Place, count: number): void {
  const seen = rows<{ what: string; total: number; distinct: number }>(
    place.file,
    'SELECT what, count(*) AS total, count(DISTINCT id) AS "distinct" FROM effects GROUP BY what ORDER BY what',
  )
  const expected = count === 0 ? [] : ['one', 'three', 'two'].map((what) => ({ what, total: count, distinct: count }))
  assert.deepEqual(
    seen.map((row) => ({ ...row })),
    expected,
  )
  for (const [type, what] of [
    ['first', 'one'],
    ['second', 'two'],
    ['third', 'three'],
  ] as const) {
    const logged = order(
      place,
      `SELECT key AS lane, json_extract(data, '$.turn') AS turn FROM quadrille_events WHERE type = '${type}' ORDER BY position`,
    )
    assert.deepEqual(order(place, `SELECT lane, turn FROM effects WHERE what = '${what}' ORDER BY rowid`), logged)
  }
  assert.deepEqual(leftovers(place.file), [])
}

function order(place: Place, sql: string): Record<string, number[]> {
  const lists: Record<string, number[]> = {}
  for (const { lane, turn } of rows<{ lane: string; turn: number }>(place.file, sql)) (lists[lane] ??= []).push(turn)
  return lists
}

test('any schedule of starts, stops, cut connections and duplicates leaves every effect once and in order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 8, maxLength: 24 }), fc.integer(), async (commands, seed) => {
      using place = new Place()
      prepare(place.file, tables, place.outside)
      const run = new Run(place, seed)
      await run.play(commands)
      judge(place, run.count)
    }),
    { numRuns: Number(process.env['QUADRILLE_RUNS'] ?? 12), endOnFailure: true },
  )
})
