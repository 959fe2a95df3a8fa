/**
 * The promises of the runtime, under every schedule of one small choreography with up to so many faults: what its handlers have
 * done stands in a log of theirs, and the provider keeps its own books.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { choreography, event, service } from 'quadrille'
import { nodeSqlite, type SqliteHandle } from 'quadrille/sqlite'
import {
  oracleCodes,
  simulate,
  type FaultKind,
  type Sim,
  type SimulateOptions,
  type WorldView,
} from 'quadrille/simulate'
import * as z from 'zod'

const schema = z.object({ id: z.string(), n: z.number() })
const plain = (type: string) => event(type, { key: 'id', schema })
const [Asked, Cancelled, Revoked, Part, Answered, Tick] = [
  'asked',
  'cancelled',
  'revoked',
  'part',
  'answered',
  'tick',
].map(plain)
const [Acted, Undone, Joined, Expired] = ['acted', 'undone', 'joined', 'expired'].map(plain)
type Data = z.infer<typeof schema>

interface Provider {
  do(key: string): Promise<{ readonly key: string }>
  undo(key: string): Promise<null>
  /** The keys of everything that was done, and of what was undone. */
  readonly done: readonly string[]
  readonly undone: readonly string[]
}

function provider(_sim: Sim): Provider {
  const done: string[] = []
  const undone: string[] = []
  return {
    done,
    undone,
    async do(key) {
      if (!done.includes(key)) done.push(key)
      return { key }
    },
    async undo(key) {
      if (!undone.includes(key)) undone.push(key)
      return null
    },
  }
}

const note = (db: SqliteHandle, what: string): void => void db.prepare('INSERT INTO log (what) VALUES (?)').run(what)

type Outside = { readonly provider: Provider }

/** Each is a service of its own, so that a promise is tried with no more than what it is about. */
const services = {
  act: (fake: Provider) =>
    service('one', { db: nodeSqlite(), retry: { attempts: 2, base: '1s' } }).on(
      Asked!,
      {
        name: 'act',
        emits: [Acted!],
        call: (_, { idempotencyKey }) => fake.do(idempotencyKey),
        undo: {
          on: [Cancelled!, Revoked!],
          emits: [Undone!],
          call: (_, { done }) => fake.undo(done.key),
          run: (data, { db }) => {
            note(db, 'undo')
            return Undone!(data)
          },
        },
      },
      (data, { db }) => {
        note(db, 'act')
        return Acted!(data)
      },
    ),
  join: () =>
    service('one', { db: nodeSqlite() }).all([Asked!, Part!], { name: 'join', emits: [Joined!] }, ([data], { db }) => {
      note(db, 'join')
      return Joined!(data)
    }),
  deadline: () =>
    service('one', { db: nodeSqlite() }).deadline(
      Asked!,
      { name: 'expire', unless: [Answered!], within: '1h', emits: [Expired!] },
      (data, { db }) => {
        note(db, 'expire')
        return Expired!(data)
      },
    ),
  ticks: () =>
    service('one', { db: nodeSqlite() }).on(Tick!, { name: 'tick' }, ({ n }, { db, attempt }) => {
      if (n === 1 && attempt === 1) throw new Error('the first one fails at first')
      note(db, `tick ${n}`)
    }),
} as const

const dance =
  (which: keyof typeof services) =>
  ({ provider: fake }: Outside) =>
    choreography('promises', {
      services: [services[which](fake)],
      starts: [Asked!, Cancelled!, Revoked!, Part!, Answered!, Tick!],
      ends: { success: [Joined!] },
    })

const setup: SimulateOptions['setup'] = (_, { sqlite }) =>
  sqlite.exec('CREATE TABLE log (n INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT)')

type World = WorldView<Data, Outside>
const logOf = ({ db }: World): string[] =>
  db('one')
    .all('SELECT what FROM log ORDER BY n')
    .map(({ what }) => String(what))
const emitted = ({ conversations: [talk] }: World, type: string): number =>
  talk!.events.filter((each) => each.type === type).length
const once = (log: readonly string[], what: string): boolean => log.filter((each) => each === what).length <= 1

/** What must hold, and the events that are sent for it, at once and in any order. */
interface Promise_ {
  readonly by: keyof typeof services
  readonly events: (data: Data) => readonly ReturnType<NonNullable<typeof Asked>>[]
  readonly always?: (world: World) => boolean
  readonly atEnd?: (world: World) => boolean
}

const promises: Readonly<Record<string, Promise_>> = {
  'an action is undone once if it happened, and never happens afterwards': {
    by: 'act',
    events: (data) => [Asked!(data), Cancelled!(data), Revoked!(data)],
    always: (world) => {
      const log = logOf(world)
      return (
        once(log, 'act') && once(log, 'undo') && (!log.includes('undo') || log[0] === 'act' || world.hasDead('act'))
      )
    },
    atEnd: (world) => {
      const { done, undone } = world.outside.provider
      const log = logOf(world)
      return undone.length === done.length && log.includes('act') <= log.includes('undo')
    },
  },
  'what is written and what is emitted commit together': {
    by: 'act',
    events: (data) => [Asked!(data), Cancelled!(data)],
    always: (world) => {
      const log = logOf(world)
      const agree = (what: string, type: string) => log.filter((each) => each === what).length === emitted(world, type)
      return agree('act', 'acted') && agree('undo', 'undone')
    },
  },
  'a join happens once, when all parts have come': {
    by: 'join',
    events: (data) => [Asked!(data), Part!(data), Part!({ ...data, n: 1 })],
    always: (world) => once(logOf(world), 'join'),
    atEnd: (world) => logOf(world).includes('join') && !world.hasDead(),
  },
  'a deadline passes once, and not when it was settled in time': {
    by: 'deadline',
    events: (data) => [Asked!(data), Answered!(data)],
    always: (world) => once(logOf(world), 'expire'),
    atEnd: (world) => world.conversations.length > 0,
  },
  'events of a key are handled in order, each once, also when one fails': {
    by: 'ticks',
    events: (data) => [0, 1, 2].map((n) => Tick!({ ...data, n })),
    atEnd: (world) => logOf(world).join() === 'tick 0,tick 1,tick 2',
  },
}

function optionsOf({ events, always, atEnd }: Promise_, more: SimulateOptions<Data, Outside> = {}) {
  return {
    outside: (sim) => ({ provider: provider(sim) }),
    setup,
    inputs: [{ id: 'a', n: 0 }],
    begin: async (app, data) => app.publish(events(data)),
    ...(always && { always: { always } }),
    ...(atEnd && { atEnd: { atEnd } }),
    ignore: oracleCodes,
    schedules: 300,
    conversations: 1,
    budget: '120s',
    ...more,
  } satisfies SimulateOptions<Data, Outside>
}

for (const [title, promise] of Object.entries(promises)) {
  test(`${title}: under every schedule with two faults`, async () => {
    const report = await simulate(dance(promise.by), optionsOf(promise))
    assert.equal(report.ok, true, report.text())
    assert.equal(report.completeFaults, 2)
  })
  test(`${title}: when another process takes over`, async () => {
    const faults: readonly FaultKind[] = ['takeover', 'duplicate', 'answer lost']
    const report = await simulate(dance(promise.by), optionsOf(promise, { faults, maxFaults: 1 }))
    assert.equal(report.ok, true, report.text())
  })
}

test('a deadline that was settled in time never passes', async () => {
  // Time passes only when all has come: without an early timer it is settled in every order.
  const faults: readonly FaultKind[] = ['duplicate', 'crash before commit', 'crash after commit', 'crash after arrival']
  const settled: Promise_ = {
    ...promises['a deadline passes once, and not when it was settled in time']!,
    always: (world) => !logOf(world).includes('expire'),
  }
  const report = await simulate(dance('deadline'), optionsOf(settled, { faults }))
  assert.equal(report.ok, true, report.text())
})
