/** The order flow on Quadrille beside the emitter and the hand-written outbox, interleaved, with medians. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runJob, systemNames, type Job, type JobResult, type SystemName } from './job.ts'
import { machine } from './machine.ts'
import { median, round } from './statistics.ts'

/** What can be set. */
export interface OrderFlowOptions {
  readonly orders: number
  readonly warmUp: number
  readonly rounds: number
  readonly rate: number
  readonly seconds: number
  /** Told what is being done. */
  readonly progress: (text: string) => void
}

/** What is printed as JSON: the six figures of the goal, then what they have to be judged by. */
export interface OrderFlowResult {
  readonly ordersPerSecond: number
  readonly emitterOrdersPerSecond: number
  readonly handWrittenOrdersPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly cpuSecondsPer1000: number
  readonly timesHandWritten: number
  readonly shareOfEmitter: number
  readonly handWrittenFullOrdersPerSecond: number
  readonly batchOrdersPerSecond: number
  readonly handWrittenCpuSecondsPer1000: number
  readonly emitterCpuSecondsPer1000: number
  readonly maxMs: number
  readonly orders: number
  readonly verifiedOrders: number
  readonly rounds: readonly Readonly<Record<SystemName, number>>[]
  readonly otherCores: number | null
  readonly otherCoresAtRate: number | null
  readonly machine: Readonly<Record<string, unknown>>
  readonly seconds: number
}

/** No round is begun after this time, once there are three. */
const roundsUntilMs = 36_000
const roundsMin = 3

/** Runs a job on a file of its own, which is removed afterwards. */
export async function onNewFile(folder: string, job: Omit<Job, 'file'>): Promise<JobResult> {
  const place = mkdtempSync(join(folder, `${job.system}-`))
  try {
    return await runJob({ ...job, file: join(place, 'orders.db') })
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
}

/** Measures. @throws Error when a system has left wrong results behind. */
export async function orderFlow(options: OrderFlowOptions): Promise<OrderFlowResult> {
  const began = performance.now()
  const folder = mkdtempSync(join(tmpdir(), 'quadrille-bench-'))
  try {
    const { progress, warmUp } = options
    progress(`latency at ${options.rate} orders/s`)
    const steady = { rate: options.rate, seconds: options.seconds }
    const paced = await onNewFile(folder, { system: 'quadrille', prefix: 'l', warmUp, orders: 0, steady })
    const rounds: ReadonlyMap<SystemName, JobResult>[] = []
    while (rounds.length < options.rounds) {
      if (rounds.length >= roundsMin && performance.now() - began > roundsUntilMs) break
      rounds.push(await oneRound(folder, rounds.length, options))
    }
    return resultOf({ rounds, paced, orders: options.orders, seconds: (performance.now() - began) / 1000 })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Every system once; who begins changes from round to round. */
async function oneRound(
  folder: string,
  number: number,
  options: OrderFlowOptions,
): Promise<ReadonlyMap<SystemName, JobResult>> {
  const { orders, warmUp, progress } = options
  const turned = systemNames.map((_, index) => systemNames[(index + number * 2) % systemNames.length]!)
  const results = new Map<SystemName, JobResult>()
  for (const system of number % 2 === 0 ? turned : turned.toReversed()) {
    const result = await onNewFile(folder, { system, prefix: 'o', warmUp, orders })
    results.set(system, result)
    progress(`round ${number + 1}: ${system} ${round(result.throughput!.ordersPerSecond)} orders/s`)
  }
  return results
}

interface Found {
  readonly rounds: readonly ReadonlyMap<SystemName, JobResult>[]
  readonly paced: JobResult
  readonly orders: number
  readonly seconds: number
}

function resultOf({ rounds, paced, orders, seconds }: Found): OrderFlowResult {
  const all = [...rounds.flatMap((each) => [...each.values()]), paced]
  const of = (system: SystemName) => rounds.map((each) => each.get(system)!.throughput!)
  const speed = (system: SystemName) => median(of(system).map((each) => each.ordersPerSecond))
  const others = rounds.flatMap((each) => [...each.values()].map(({ throughput }) => throughput!.otherCores))
  const cpu = (system: SystemName) => round(median(of(system).map((each) => each.cpuSecondsPer1000)), 3)
  const latency = paced.latency!
  return {
    ordersPerSecond: round(speed('quadrille')),
    emitterOrdersPerSecond: round(speed('emitter')),
    handWrittenOrdersPerSecond: round(speed('hand-written')),
    p50Ms: round(latency.p50Ms, 2),
    p99Ms: round(latency.p99Ms, 2),
    cpuSecondsPer1000: cpu('quadrille'),
    timesHandWritten: round(speed('quadrille') / speed('hand-written'), 2),
    shareOfEmitter: round(speed('quadrille') / speed('emitter'), 3),
    handWrittenFullOrdersPerSecond: round(speed('hand-written-full')),
    batchOrdersPerSecond: round(speed('quadrille-batch')),
    handWrittenCpuSecondsPer1000: cpu('hand-written'),
    emitterCpuSecondsPer1000: cpu('emitter'),
    maxMs: round(latency.maxMs, 2),
    orders,
    verifiedOrders: all.reduce((sum, each) => sum + each.verifiedOrders, 0),
    rounds: rounds.map(
      (each) =>
        Object.fromEntries(
          systemNames.map((name) => [name, round(each.get(name)!.throughput!.ordersPerSecond)]),
        ) as Record<SystemName, number>,
    ),
    otherCores: others.includes(null) ? null : round(median(others as number[]), 2),
    otherCoresAtRate: latency.otherCores,
    machine: machine(),
    seconds: round(seconds, 1),
  }
}
