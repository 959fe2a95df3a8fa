/** `wire`: from ledger to ledger over a broker, beside the bare client, in turns, in processes of their own. */
import { fork, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, realBroker } from '@quadrille/brokers'
import { machine, meter } from '../machine.ts'
import { median, percentile, round } from '../statistics.ts'
import type { Order, Received, Side } from './wire-process.ts'
import { wireSystems } from './wire-systems.ts'

/** What is to be measured. */
export interface WireBenchOptions {
  readonly wire: string
  readonly events: number
  readonly warmUp: number
  readonly rounds: number
  readonly rate: number
  readonly seconds: number
  /** A folder for CPU profiles of both sides. */
  readonly profile?: string
  progress(text: string): void
}

/** What was found. */
export interface WireBenchResult {
  readonly wire: string
  readonly eventsPerSecond: number
  readonly rawEventsPerSecond: number
  readonly shareOfRaw: number
  readonly goal: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly rawP50Ms: number
  readonly rawP99Ms: number
  /** Of the sending and the receiving process, per 1,000 events; without the broker's. */
  readonly cpuSecondsPer1000: readonly [sender: number, receiver: number]
  readonly rawCpuSecondsPer1000: readonly [sender: number, receiver: number]
  readonly otherCores: number | null
  readonly rounds: readonly { readonly eventsPerSecond: number; readonly rawEventsPerSecond: number }[]
  readonly verifiedEvents: number
  readonly machine: Readonly<Record<string, unknown>>
}

const child = new URL('./wire-process.ts', import.meta.url)
const execArgv = ['--conditions=quadrille-source', '--disable-warning=ExperimentalWarning']

const answerWithinMs = 240_000

/** A process that answers one order at a time. */
class Remote {
  readonly #process: ChildProcess
  readonly #answers: ((value: unknown) => void)[] = []
  readonly #failed: Promise<never>

  constructor(side: Side) {
    this.#process = fork(child, [JSON.stringify(side)], { execArgv, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    this.#process.on('message', ({ value }: { value: unknown }) => this.#answers.shift()?.(value))
    this.#failed = new Promise((_, reject) => {
      this.#process.on('exit', (code, signal) => {
        if (code !== 0) reject(new Error(`the ${side.role} of ${side.wire} ended with ${signal ?? code}`))
      })
    })
    this.#failed.catch(() => {})
  }

  ready(): Promise<unknown> {
    return this.#answer()
  }

  order(order: Order): Promise<unknown> {
    this.#process.send(order)
    return this.#answer()
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.on('exit', resolve))
    this.#process.send({ does: 'stop' } satisfies Order)
    await Promise.race([ended, this.#failed])
  }

  kill(): void {
    this.#process.kill('SIGKILL')
  }

  #answer(): Promise<unknown> {
    const limit = Promise.withResolvers<never>()
    const timer = setTimeout(() => limit.reject(new Error('events are missing: no answer in time')), answerWithinMs)
    const answer = new Promise((resolve) => this.#answers.push(resolve))
    return Promise.race([answer, this.#failed, limit.promise]).finally(() => clearTimeout(timer))
  }
}

interface Run {
  readonly received: Received
  readonly cpuSeconds: readonly [sender: number, receiver: number]
  readonly latencies: readonly number[]
}

/** Where the receivers of a wire without a broker listen, one after the other. */
async function noBroker() {
  return { url: `http://127.0.0.1:${await freePort()}/`, stop: async () => {} }
}

/** @throws Error when events are missing, or a process fails. */
export async function wireBench(options: WireBenchOptions): Promise<WireBenchResult> {
  const system = await wireSystems[options.wire]!()
  const broker = system.broker === null ? await noBroker() : await realBroker(system.broker).start()
  const runs: Record<'ours' | 'raw', Run[]> = { ours: [], raw: [] }
  const read = meter()
  try {
    for (let at = 0; at < options.rounds; at++)
      for (const bare of at % 2 === 0 ? [false, true] : [true, false]) {
        const isLast = at === options.rounds - 1
        const run = await oneRun(options, { bare, url: broker.url, latency: isLast })
        runs[bare ? 'raw' : 'ours'].push(run)
        options.progress(`${bare ? 'bare client' : 'ledger to ledger'}: ${speed(run)} events/s`)
      }
  } finally {
    await broker.stop()
  }
  const { otherCores } = read()
  const [ours, raw] = [runs.ours.map(speed), runs.raw.map(speed)]
  const at = (run: Run | undefined, share: number): number => round(percentile(run?.latencies ?? [], share), 1)
  const cpuOf = (list: readonly Run[], side: 0 | 1): number =>
    round(median(list.map(({ cpuSeconds }) => (cpuSeconds[side] * 1000) / options.events)), 3)
  return {
    wire: options.wire,
    eventsPerSecond: median(ours),
    rawEventsPerSecond: median(raw),
    shareOfRaw: round(median(ours) / median(raw), 2),
    goal: system.goal,
    p50Ms: at(runs.ours.at(-1), 0.5),
    p99Ms: at(runs.ours.at(-1), 0.99),
    rawP50Ms: at(runs.raw.at(-1), 0.5),
    rawP99Ms: at(runs.raw.at(-1), 0.99),
    cpuSecondsPer1000: [cpuOf(runs.ours, 0), cpuOf(runs.ours, 1)],
    rawCpuSecondsPer1000: [cpuOf(runs.raw, 0), cpuOf(runs.raw, 1)],
    otherCores,
    rounds: ours.map((eventsPerSecond, index) => ({ eventsPerSecond, rawEventsPerSecond: raw[index]! })),
    verifiedEvents: options.rounds * options.events * 2,
    machine: machine(),
  }
}

const speed = ({ received: { counted, seconds } }: Run): number => round(counted / seconds)

let places = 0

async function oneRun(
  options: WireBenchOptions,
  how: { readonly bare: boolean; readonly url: string; readonly latency: boolean },
): Promise<Run> {
  const { wire, events, warmUp, rate, seconds, profile } = options
  const folder = mkdtempSync(join(tmpdir(), 'quadrille-wire-'))
  const place = `bench${process.pid}n${(places += 1)}`
  const side = { wire, bare: how.bare, url: how.url, place, type: `${place}.placed`, events, warmUp }
  const name = (role: string) =>
    profile === undefined || how.bare ? {} : { profile: join(profile, `${role}.cpuprofile`) }
  const sender = new Remote({ ...side, role: 'sender', file: join(folder, 'sender.db'), ...name('sender') })
  const receiver = new Remote({ ...side, role: 'receiver', file: join(folder, 'receiver.db'), ...name('receiver') })
  try {
    await Promise.all([sender.ready(), receiver.ready()])
    const receiving = receiver.order({ does: 'go' })
    receiving.catch(() => {})
    await sender.order({ does: 'go' })
    const received = (await receiving) as Received
    const cpuSeconds = [
      (await sender.order({ does: 'cpu' })) as number,
      (await receiver.order({ does: 'cpu' })) as number,
    ] as const
    let latencies: readonly number[] = []
    if (how.latency) {
      await Promise.all([sender.order({ does: 'settle' }), receiver.order({ does: 'settle' })])
      const count = rate * seconds
      const measured = receiver.order({ does: 'latencies', events: count })
      measured.catch(() => {})
      await sender.order({ does: 'steady', rate, seconds })
      latencies = (await measured) as readonly number[]
      if (latencies.length !== count) throw new Error(`${latencies.length} of ${count} events came`)
    }
    await sender.stop()
    await receiver.stop()
    return { received, cpuSeconds, latencies }
  } finally {
    sender.kill()
    receiver.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}
