/** The order flow on PostgreSQL in one process, in two, and in more: what do more processes bring? */
import { fork, type ChildProcess } from 'node:child_process'
import { machine, meter } from './machine.ts'
import { secondsOf, serverMeter, withDatabase } from './postgres-server.ts'
import type { ScaleNews, ScaleOrder, ScaleTask } from './scale-process.ts'
import { median, round } from './statistics.ts'
import { createPostgresTables } from './systems/quadrille-postgres.ts'
import { postgresTallyOf } from './postgres-tables.ts'
import { checkTally } from './tally.ts'

/** What can be set. */
export interface ScaleOptions {
  readonly server: string
  readonly processes: readonly number[]
  /** Of all processes together. */
  readonly orders: number
  readonly warmUp: number
  readonly rounds: number
  readonly batches: boolean
  readonly progress: (text: string) => void
}

/** One run with so many processes. */
interface Run {
  readonly ordersPerSecond: number
  readonly cpuSecondsPer1000: number
  readonly serverCpuSecondsPer1000: number
  readonly otherCores: number | null
}

/** What so many processes do: medians. */
export interface ScaleRow extends Run {
  readonly processes: number
  /** Orders a second, of the first row. */
  readonly ofFirst: number
  readonly rounds: readonly number[]
}

/** What is printed as JSON. */
export interface ScaleResult {
  readonly rows: readonly ScaleRow[]
  readonly machine: Readonly<Record<string, unknown>>
}

const stuckMs = 60_000
const execArgv = ['--conditions=quadrille-source', '--disable-warning=ExperimentalWarning']

/** Measures in turns. @throws Error when a run has left wrong results, or is stuck. */
export async function scale(options: ScaleOptions): Promise<ScaleResult> {
  const runs = new Map<number, Run[]>(options.processes.map((count) => [count, []]))
  for (let number = 0; number < options.rounds; number++) {
    const order = number % 2 === 0 ? options.processes : options.processes.toReversed()
    for (const count of order) {
      const run = await withDatabase(options.server, (database) => measure(database, count, options))
      runs.get(count)!.push(run)
      options.progress(`${count} processes: ${JSON.stringify(run)}`)
    }
  }
  const first = median(runs.get(options.processes[0]!)!.map((run) => run.ordersPerSecond))
  const rows = options.processes.map((processes) => rowOf(processes, runs.get(processes)!, first))
  return { rows, machine: machine() }
}

function rowOf(processes: number, runs: readonly Run[], first: number): ScaleRow {
  const middle = (value: (run: Run) => number): number => round(median(runs.map(value)), 3)
  const ordersPerSecond = round(middle((run) => run.ordersPerSecond))
  return {
    processes,
    ordersPerSecond,
    ofFirst: round(ordersPerSecond / first, 2),
    cpuSecondsPer1000: middle((run) => run.cpuSecondsPer1000),
    serverCpuSecondsPer1000: middle((run) => run.serverCpuSecondsPer1000),
    otherCores: middle((run) => run.otherCores ?? NaN),
    rounds: runs.map((run) => round(run.ordersPerSecond)),
  }
}

async function measure(database: string, count: number, options: ScaleOptions): Promise<Run> {
  await createPostgresTables(database)
  const { orders, warmUp, batches } = options
  const crew = new Crew(count, { database, batches })
  try {
    await crew.run('w', warmUp)
    const serverSeconds = await serverMeter(database)
    const cpuBefore = crew.cpuSeconds()
    const read = meter(serverSeconds)
    await crew.run('r', orders)
    const { seconds, serverCpuSeconds, otherCores } = read()
    const cpuSeconds = crew.cpuSeconds() - cpuBefore
    await crew.stop()
    for (let each = 0; each < count; each++)
      checkTally('quadrille', await postgresTallyOf(database, `r${each}`), Math.ceil(orders / count))
    const others = otherCores === null ? null : round(Math.max(0, otherCores - cpuSeconds / seconds), 2)
    return {
      ordersPerSecond: orders / seconds,
      cpuSecondsPer1000: (cpuSeconds / orders) * 1000,
      serverCpuSecondsPer1000: (serverCpuSeconds / orders) * 1000,
      otherCores: others,
    }
  } finally {
    crew.kill()
  }
}

/** The processes of one run. */
class Crew {
  readonly #children: readonly ChildProcess[]
  readonly #notified: number[]
  #done = 0
  #wake = () => {}

  constructor(count: number, task: ScaleTask) {
    this.#notified = Array.from({ length: count }, () => 0)
    this.#children = this.#notified.map((_, index) => {
      const child = fork(new URL('./scale-process.ts', import.meta.url), [JSON.stringify(task)], { execArgv })
      child.on('message', (news: ScaleNews) => {
        this.#notified[index] = news.notified
        this.#wake()
      })
      return child
    })
  }

  /** Each places its share; resolves when all of it is notified of. */
  async run(prefix: string, orders: number): Promise<void> {
    const share = Math.ceil(orders / this.#children.length)
    for (const [index, child] of this.#children.entries())
      child.send({ prefix: `${prefix}${index}`, orders: share } satisfies ScaleOrder)
    this.#done += share * this.#children.length
    for (let last = -1; this.#all < this.#done;) {
      let isStuck = false
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wake = resolve
      const timer = setTimeout(() => {
        isStuck = true
        resolve()
      }, stuckMs)
      await promise
      clearTimeout(timer)
      if (isStuck && this.#all === last) throw new Error(`stuck after ${this.#all} of ${this.#done} orders`)
      last = this.#all
    }
  }

  get #all(): number {
    return this.#notified.reduce((sum, each) => sum + each, 0)
  }

  /** What all of them have used so far. */
  cpuSeconds(): number {
    return this.#children.reduce((sum, { pid }) => sum + secondsOf(pid!), 0)
  }

  async stop(): Promise<void> {
    const ends = this.#children.map((child) => new Promise((resolve) => child.once('exit', resolve)))
    for (const child of this.#children) child.send('stop' satisfies ScaleOrder)
    await Promise.all(ends)
  }

  kill(): void {
    for (const child of this.#children) child.kill('SIGKILL')
  }
}
