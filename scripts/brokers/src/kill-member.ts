/** A process of ./wire-kills.ts. */
import { event, service, start, type Logger, type Wire } from 'quadrille'
import { nodeSqlite, sqlite } from 'quadrille/sqlite'
import * as z from 'zod'
import type { KillMember, KillWires } from './wire-kills.ts'

const member = JSON.parse(process.argv[2]!) as KillMember
const db = nodeSqlite()
const Counted = event('counted', { key: 'key', schema: z.object({ key: z.string(), n: z.number() }) })

const counter = service('counter', { db })
const listener = service('listener', { db }).on(Counted, ({ key, n }, context) => {
  context.db.prepare('INSERT INTO heard (key, n) VALUES (?, ?)').run(key, n)
})

/** Long enough for an acknowledgement that should not have been sent to reach the broker. */
const graceMs = 200

/** The wire, in a process that ends in one of its deliveries, if it is told to. */
function mortal(wire: Wire): Wire {
  const receive = wire.receive.bind(wire)
  let left = member.diesAt ?? Infinity
  wire.receive = (subscription, deliver) =>
    receive(subscription, async (messages) => {
      left -= 1
      if (left !== 0) return deliver(messages)
      process.send?.('dies')
      await new Promise((resolve) => setTimeout(resolve, graceMs))
      process.kill(process.pid, 'SIGKILL')
    })
  return wire
}

const warnings: string[] = []
const noted: Logger['warn'] = (facts, message) => {
  warnings.push(`${new Date().toISOString()} ${message} ${(facts as { err?: Error }).err?.message ?? ''}`)
}
const log: Logger = { debug() {}, info() {}, warn: noted, error: noted }

const mine = member.role === 'counts' ? counter : listener
const { wiresOf } = (await import(member.wires)) as KillWires
const app = await start({
  services: [mine],
  ledger: sqlite(member.ledger),
  wires: ((await wiresOf(member)) as Wire[]).map(mortal),
  lease: '400ms',
  log,
})
// Asked when it does not end.
process.on('message', () => {
  void app.health().then((health) => process.send?.({ role: member.role, health, warnings: warnings.slice(-20) }))
})
await app.transact(mine, (context) => {
  context.db.exec('CREATE TABLE IF NOT EXISTS counters (key TEXT PRIMARY KEY, n INTEGER NOT NULL)')
  context.db.exec('CREATE TABLE IF NOT EXISTS heard (seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, n INTEGER)')
})
// An app also starts when its broker does not answer yet.
const connects = async () =>
  (await app.health()).wires.some(({ receiving }) => receiving.some(({ state }) => state === 'connecting'))
while (await connects()) await new Promise((resolve) => setTimeout(resolve, 20))
process.send?.('ready')

/** Counts a key up, and says so, in one transaction. Returns false when it has come to its end. */
async function count(key: string): Promise<boolean> {
  const { events } = await app.transact(counter, (context) => {
    const row = context.db
      .prepare(
        `INSERT INTO counters (key, n) VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET n = n + 1 WHERE n < ? RETURNING n`,
      )
      .get(key, member.to)
    return row && Counted({ key, n: Number(row['n']) })
  })
  return events.length > 0
}

if (member.role === 'counts') {
  const keys = Array.from({ length: member.keys }, (_, index) => `key-${index}`)
  while ((await Promise.all(keys.map(count))).some(Boolean)) await new Promise((resolve) => setTimeout(resolve, 50))
  process.send?.('counted')
}
