/**
 * Ledgers of several processes, joined by a wire alone, whose processes are killed again and again (kill -9): at random, and
 * those who hear also with messages in hand that are not stored yet, which is where a wire that acknowledges too early loses them.
 */
import assert from 'node:assert/strict'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Broker } from './process.ts'

/** What a process is told. */
export interface KillMember {
  /** Counts keys up in its own database and says so, or writes down what it hears. There are two of each, on one ledger. */
  readonly role: 'counts' | 'hears'
  readonly ledger: string
  readonly keys: number
  /** How far each key is counted. */
  readonly to: number
  /** In which delivery it ends itself, before anything of that is stored; null for none. */
  readonly diesAt: number | null
  /** The module that makes the wire, and what it is given. */
  readonly wires: string
  readonly options: unknown
}

/** What such a module exports. */
export interface KillWires {
  /** The wires of a process; they are opened by it. */
  wiresOf: (member: Pick<KillMember, 'role' | 'options'>) => Promise<readonly unknown[]>
}

const [keys, to] = [8, 150]
const killsMin = 12
/** How often those who hear are to die with messages in hand (where one at a time receives there is less time), and in which delivery at the latest. */
const [deathsMax, deathsMin, diesAtMax] = [8, 3, 4]
/** So often it is the broker's turn, where it is killed too. */
const brokerEvery = 5
const endsWithinMs = 90_000
const roles = ['counts', 'counts', 'hears', 'hears'] as const

/** What is killed. */
export interface Killing {
  /** The module that exports {@link KillWires}, and what it is given. */
  readonly wires: URL
  readonly options: unknown
  /** Is killed too, where it keeps what it has. */
  readonly broker?: Broker
}

/** Kills until all is counted, and often enough; asserts that nothing was lost, doubled or turned round. */
export async function killAtRandom(t: TestContext, { wires, options, broker }: Killing): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'quadrille-kill-'))
  const children = new Set<ChildProcess>()
  t.after(async () => {
    for (const child of children) child.kill('SIGKILL')
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  let counted = false
  let deaths = 0
  const startMember = async (role: KillMember['role']): Promise<ChildProcess> => {
    for (;;) {
      const diesAt = role === 'hears' && deaths < deathsMax ? 1 + Math.floor(Math.random() * diesAtMax) : null
      const ledger = join(folder, `${role}.db`)
      const member: KillMember = { role, ledger, keys, to, diesAt, wires: wires.href, options }
      const child = fork(new URL('./kill-member.ts', import.meta.url), [JSON.stringify(member)], {
        execArgv: ['--conditions=quadrille-source'],
        silent: true,
      })
      children.add(child)
      child.on('exit', () => children.delete(child))
      child.on('message', (message) => {
        counted ||= message === 'counted'
        if (message === 'dies') deaths += 1
      })
      const [first] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as [unknown]
      if (first === 'ready') return child
    }
  }
  // Those who count wait until the others receive: a queue or subscription that is not there yet keeps nothing.
  const members: ChildProcess[] = []
  for (const role of roles.toReversed()) members.push(await startMember(role))
  let kills = 0
  while (!counted || kills < killsMin) {
    await sleep(100 + Math.random() * 500)
    const dead = members.findIndex(({ signalCode }) => signalCode !== null)
    if (dead === -1) kills += 1
    if (dead === -1 && broker && kills % brokerEvery === 0) {
      await broker.kill()
      await sleep(Math.random() * 500)
      await broker.restart()
      continue
    }
    const place = dead === -1 ? Math.floor(Math.random() * roles.length) : dead
    members[place]!.kill('SIGKILL')
    members[place] = await startMember(roles.toReversed()[place]!)
  }
  const heard = () => heardIn(join(folder, 'hears.db'))
  const endsAt = Date.now() + endsWithinMs
  while (heard().length < keys * to && Date.now() < endsAt) await sleep(200)
  const rows = heard()
  const distinct = new Set(rows.map(({ key, n }) => `${key} ${n}`)).size
  let inversions = 0
  for (const list of Map.groupBy(rows, ({ key }) => key).values())
    list.forEach(({ n }, index) => (inversions += index > 0 && n < list[index - 1]!.n ? 1 : 0))
  const counts = { lost: keys * to - distinct, doubled: rows.length - distinct, inversions }
  t.diagnostic(
    `${kills} kills, ${deaths} deaths with messages in hand, ${rows.length} events: ${JSON.stringify(counts)}`,
  )
  if (counts.lost > 0) t.diagnostic(`lost: ${missingIn(rows).join(', ')}`)
  assert.deepEqual(counts, { lost: 0, doubled: 0, inversions: 0 })
  assert.ok(deaths >= deathsMin, `it was counted before ${deathsMin} have died with messages in hand`)
}

/** What was counted and never heard: a beginning was sent before anybody had subscribed, a middle or an end was lost. */
function missingIn(rows: readonly { key: string; n: number }[]): string[] {
  const heard = new Set(rows.map(({ key, n }) => `${key} ${n}`))
  const counted = Array.from({ length: keys * to }, (_, i) => `key-${i % keys} ${Math.floor(i / keys) + 1}`)
  return counted.filter((each) => !heard.has(each))
}

function heardIn(file: string): { key: string; n: number }[] {
  const db = new DatabaseSync(file, { readOnly: true })
  try {
    return db.prepare('SELECT key, n FROM heard ORDER BY seq').all() as { key: string; n: number }[]
  } finally {
    db.close()
  }
}
