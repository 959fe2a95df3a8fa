/**
 * Ledgers of several processes, joined by a wire alone, whose processes are killed again and again (kill -9): at random, and
 * those who hear also with messages in hand that are not stored yet, which is where a wire that acknowledges too early loses them.
 * Others are put to sleep (SIGSTOP) until their leases are over, and wake up among those who have taken over from them.
 */
import assert from 'node:assert/strict'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { realBroker, type BrokerName, type StartOptions } from './index.ts'
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
/** So many sleep, one after the other, and wake up again; how long, unless the wire's leases are longer. */
const sleepsMin = 3
const sleepMsDefault = 1_500
const endsWithinMs = 90_000
const answersWithinMs = 5_000
const roles = ['hears', 'hears', 'counts', 'counts'] as const

/** What is killed. */
export interface Killing {
  /** The module that exports {@link KillWires}, and what it is given. */
  readonly wires: URL
  readonly options: unknown
  /** Is killed too, where it keeps what it has. */
  readonly broker?: Broker
  /** Longer than a lease of the wire. */
  readonly sleepMs?: number
  /** What the broker says about itself, for when it does not end. */
  readonly look?: () => Promise<unknown>
}

/** The test of a wire over a real broker. */
export interface KillTest extends Pick<Killing, 'wires' | 'sleepMs'> {
  readonly kind: BrokerName
  readonly start?: StartOptions
  /** Set where what the broker holds is in memory: it is not killed. */
  readonly brokerStays?: true
  /** What the wires are given. Default: the address of the broker. */
  readonly options?: (broker: Broker) => unknown
  readonly look?: (url: string) => Promise<unknown>
}

const killTestMs = 240_000

/** Declares the test: {@link killAtRandom} with a broker of its own. */
export function killTest({ kind, start, brokerStays, options = ({ url }) => url, look, ...more }: KillTest): void {
  const real = realBroker(kind)
  const who = brokerStays ? 'processes' : 'processes and the broker'
  const title = `nothing is lost, doubled or turned round when ${who} are killed at random, or fall asleep`
  test(title, { timeout: killTestMs, skip: real.skip }, async (t) => {
    const broker = await real.start(start)
    t.after(() => broker.stop())
    await killAtRandom(t, {
      ...more,
      options: options(broker),
      ...(brokerStays ? {} : { broker }),
      ...(look && { look: () => look(broker.url) }),
    })
  })
}

/** The processes, what they have told, and where their ledgers are. */
class KillCrew {
  readonly #killing: Killing
  readonly #folder: string
  readonly #children = new Set<ChildProcess>()
  /** By place; those who hear come first. */
  readonly members: ChildProcess[] = []
  counted = false
  deaths = 0
  /** How often one was asleep, and has woken up. */
  sleeps = 0
  #asleep: number | null = null
  #sleeping: Promise<void> = Promise.resolve()

  constructor(killing: Killing, folder: string) {
    this.#killing = killing
    this.#folder = folder
  }

  /** Those who count wait until the others receive: a queue or subscription that is not there yet keeps nothing. */
  async start(): Promise<void> {
    for (const role of roles) this.members.push(await this.#startMember(role))
  }

  /** The place of one that has died by itself; -1 for none. */
  findDead(): number {
    return this.members.findIndex(({ signalCode }) => signalCode !== null)
  }

  /** A place for the next kill: not of one that sleeps, which is to wake up. */
  anyPlace(): number {
    return randomOf([...roles.keys()].filter((place) => place !== this.#asleep))
  }

  /** One falls asleep, unless somebody sleeps already. */
  fallAsleep(): void {
    if (this.#asleep === null) this.#sleeping = this.#sleep(randomOf([...roles.keys()]))
  }

  /** Resolves when nobody sleeps. */
  awake(): Promise<void> {
    return this.#sleeping
  }

  async #sleep(place: number): Promise<void> {
    this.#asleep = place
    const member = this.members[place]!
    member.kill('SIGSTOP')
    await sleep((this.#killing.sleepMs ?? sleepMsDefault) * (1 + Math.random() / 2))
    member.kill('SIGCONT')
    // One that was about to die by itself has done so.
    if (member.signalCode === null) this.sleeps += 1
    this.#asleep = null
  }

  async replace(place: number): Promise<void> {
    this.members[place]!.kill('SIGKILL')
    this.members[place] = await this.#startMember(roles[place]!)
  }

  end(): void {
    for (const child of this.#children) child.kill('SIGKILL')
  }

  /** At once until there were enough: where one at a time receives, a process may be killed before its second delivery. */
  #inWhichDelivery(): number {
    return this.deaths < deathsMin ? 1 : 1 + Math.floor(Math.random() * diesAtMax)
  }

  async #startMember(role: KillMember['role']): Promise<ChildProcess> {
    const { wires, options } = this.#killing
    for (;;) {
      const diesAt = role === 'hears' && this.deaths < deathsMax ? this.#inWhichDelivery() : null
      const ledger = join(this.#folder, `${role}.db`)
      const member: KillMember = { role, ledger, keys, to, diesAt, wires: wires.href, options }
      const child = fork(new URL('./kill-member.ts', import.meta.url), [JSON.stringify(member)], {
        execArgv: ['--conditions=quadrille-source'],
        silent: true,
      })
      this.#children.add(child)
      child.on('exit', () => this.#children.delete(child))
      child.on('message', (message) => {
        this.counted ||= message === 'counted'
        if (message === 'dies') this.deaths += 1
      })
      const [first] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as [unknown]
      if (first === 'ready') return child
    }
  }
}

/** Kills until all is counted, and often enough; asserts that nothing was lost, doubled or turned round. */
export async function killAtRandom(t: TestContext, killing: Killing): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'quadrille-kill-'))
  const crew = new KillCrew(killing, folder)
  t.after(async () => {
    crew.end()
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  await crew.start()
  const kills = await killUntilCounted(crew, killing.broker)
  await crew.awake()
  const heard = () => heardIn(join(folder, 'hears.db'))
  const endsAt = Date.now() + endsWithinMs
  while (heard().length < keys * to && Date.now() < endsAt) {
    await sleep(200)
    // Who was still to die with messages in hand may do so now, and all who hear may.
    const dead = crew.findDead()
    if (dead !== -1) await crew.replace(dead)
  }
  const rows = heard()
  const distinct = new Set(rows.map(({ key, n }) => `${key} ${n}`)).size
  let inversions = 0
  for (const list of Map.groupBy(rows, ({ key }) => key).values())
    list.forEach(({ n }, index) => (inversions += index > 0 && n < list[index - 1]!.n ? 1 : 0))
  const counts = { lost: keys * to - distinct, doubled: rows.length - distinct, inversions }
  const { deaths, sleeps } = crew
  t.diagnostic(
    `${kills} kills, ${deaths} deaths with messages in hand, ${sleeps} sleeps, ${rows.length} events: ${JSON.stringify(counts)}`,
  )
  if (counts.lost > 0) {
    t.diagnostic(`lost: ${missingIn(rows).join(', ')}`)
    for (const member of crew.members) t.diagnostic(JSON.stringify(await healthOf(member)))
    t.diagnostic(JSON.stringify(await killing.look?.()))
  }
  assert.deepEqual(counts, { lost: 0, doubled: 0, inversions: 0 })
  assert.ok(deaths >= deathsMin, `it was counted before ${deathsMin} have died with messages in hand`)
}

/** Kills one after the other, and now and then the broker, while one or the other sleeps; returns how often. */
async function killUntilCounted(crew: KillCrew, broker: Broker | undefined): Promise<number> {
  let kills = 0
  while (!crew.counted || kills < killsMin || crew.sleeps < sleepsMin) {
    crew.fallAsleep()
    await sleep(100 + Math.random() * 500)
    const dead = crew.findDead()
    if (dead === -1) kills += 1
    if (dead === -1 && broker && kills % brokerEvery === 0) {
      await broker.kill()
      await sleep(Math.random() * 500)
      await broker.restart()
      continue
    }
    await crew.replace(dead === -1 ? crew.anyPlace() : dead)
  }
  return kills
}

const randomOf = (places: readonly number[]): number => places[Math.floor(Math.random() * places.length)]!

/** What a process says about itself, for whoever looks at a failure. */
async function healthOf(member: ChildProcess): Promise<unknown> {
  if (!member.connected) return `process ${member.pid} has ended`
  member.send('health')
  return Promise.race([once(member, 'message').then(([told]) => told as unknown), sleep(answersWithinMs, 'no answer')])
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
