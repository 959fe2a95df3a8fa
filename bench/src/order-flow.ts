/** The order flow on Quadrille beside the emitter and the hand-written outbox, interleaved, with medians. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runJob, systemsOn, type Job, type JobResult, type LedgerName, type SystemName } from './job.ts'
import { machine } from './machine.ts'
import { withDatabase } from './postgres-server.ts'
import { median, round } from './statistics.ts'

/** Which database is measured. */
export interface Where {
  readonly ledger: LedgerName
  /** The connection string of the server, for `postgres`. */
  readonly server: string
}

/** What can be set. */
export interface OrderFlowOptions extends Where {
  readonly orders: number
  readonly warmUp: number
  readonly rounds: number
  readonly rate: number
  readonly seconds: number
  /** Told what is being done. */
  readonly progress: (text: string) => void
}

/** What is printed as JSON: the six figures of the goal, then what they have to be judged by. CPU seconds are those of the process and of the database server together. */
export interface OrderFlowResult {
  readonly ordersPerSecond: number
  readonly emitterOrdersPerSecond: number
  readonly handWrittenOrdersPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly cpuSecondsPer1000: number
  readonly timesHandWritten: number
  readonly shareOfEmitter: number
  /** Only where there is a choice of how durable the hand-written one is. */
  readonly handWrittenFullOrdersPerSecond?: number
  readonly batchOrdersPerSecond: number
  readonly batchTimesHandWritten: number
  readonly batchCpuSecondsPer1000: number
  readonly handWrittenCpuSecondsPer1000: number
  readonly emitterCpuSecondsPer1000: number
  /** The part of the CPU seconds that the database server has used. */
  readonly serverCpuSecondsPer1000: Readonly<Partial<Record<SystemName, number>>>
  readonly maxMs: number
  readonly orders: number
  readonly verifiedOrders: number
  readonly rounds: readonly Readonly<Partial<Record<SystemName, number>>>[]
  readonly otherCores: number | null
  readonly otherCoresAtRate: number | null
  readonly machine: Readonly<Record<string, unknown>>
  readonly seconds: number
}

/** No round is begun after this time, once there are three. */
const roundsUntilMs = 36_000
const roundsMin = 3

/** Runs a job on a database of its own, which is removed afterwards. */
export async function onNewDatabase(where: Where, job: Omit<Job, 'database' | 'ledger'>): Promise<JobResult> {
  const { ledger, server } = where
  if (ledger === 'postgres') return withDatabase(server, (database) => runJob({ ...job, ledger, database }))
  const place = mkdtempSync(join(tmpdir(), `quadrille-bench-${job.system}-`))
  try {
    return await runJob({ ...job, ledger, database: join(place, 'orders.db') })
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
}

/** Measures. @throws Error when a system has left wrong results behind. */
export async function orderFlow(options: OrderFlowOptions): Promise<OrderFlowResult> {
  const began = performance.now()
  const { progress, warmUp } = options
  progress(`latency at ${options.rate} orders/s`)
  const steady = { rate: options.rate, seconds: options.seconds }
  const paced = await onNewDatabase(options, { system: 'quadrille', prefix: 'l', warmUp, orders: 0, steady })
  const rounds: ReadonlyMap<SystemName, JobResult>[] = []
  while (rounds.length < options.rounds) {
    if (rounds.length >= roundsMin && performance.now() - began > roundsUntilMs) break
    rounds.push(await oneRound(rounds.length, options))
  }
  return resultOf({ rounds, paced, orders: options.orders, seconds: (performance.now() - began) / 1000 })
}

/** Every system once; who begins changes from round to round. */
async function oneRound(number: number, options: OrderFlowOptions): Promise<ReadonlyMap<SystemName, JobResult>> {
  const { orders, warmUp, progress } = options
  const systems: readonly SystemName[] = systemsOn[options.ledger]
  const turned = systems.map((_, index) => systems[(index + number * 2) % systems.length]!)
  const results = new Map<SystemName, JobResult>()
  for (const system of number % 2 === 0 ? turned : turned.toReversed()) {
    const result = await onNewDatabase(options, { system, prefix: 'o', warmUp, orders })
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

/** The three figures of one system over all rounds. */
function figuresOf(rounds: Found['rounds'], system: SystemName) {
  const runs = rounds.flatMap((each) => each.get(system)?.throughput ?? [])
  const speed = median(runs.map((each) => each.ordersPerSecond))
  const serverCpu = median(runs.map((each) => each.serverCpuSecondsPer1000))
  const cpu = median(runs.map((each) => each.cpuSecondsPer1000 + each.serverCpuSecondsPer1000))
  return { speed, cpu: round(cpu, 3), serverCpu: round(serverCpu, 3), isThere: runs.length > 0 }
}

function resultOf({ rounds, paced, orders, seconds }: Found): OrderFlowResult {
  const all = [...rounds.flatMap((each) => [...each.values()]), paced]
  const of = (system: SystemName) => figuresOf(rounds, system)
  const [one, batch, hand] = [of('quadrille'), of('quadrille-batch'), of('hand-written')]
  const [full, emitter] = [of('hand-written-full'), of('emitter')]
  const others = rounds.flatMap((each) => [...each.values()].map(({ throughput }) => throughput!.otherCores))
  const latency = paced.latency!
  const eachOf = <Value>(value: (system: SystemName) => Value): Partial<Record<SystemName, Value>> =>
    Object.fromEntries([...rounds[0]!.keys()].map((system) => [system, value(system)]))
  return {
    ordersPerSecond: round(one.speed),
    emitterOrdersPerSecond: round(emitter.speed),
    handWrittenOrdersPerSecond: round(hand.speed),
    p50Ms: round(latency.p50Ms, 2),
    p99Ms: round(latency.p99Ms, 2),
    cpuSecondsPer1000: one.cpu,
    timesHandWritten: round(one.speed / hand.speed, 2),
    shareOfEmitter: round(one.speed / emitter.speed, 3),
    ...(full.isThere && { handWrittenFullOrdersPerSecond: round(full.speed) }),
    batchOrdersPerSecond: round(batch.speed),
    batchTimesHandWritten: round(batch.speed / hand.speed, 2),
    batchCpuSecondsPer1000: batch.cpu,
    handWrittenCpuSecondsPer1000: hand.cpu,
    emitterCpuSecondsPer1000: emitter.cpu,
    serverCpuSecondsPer1000: eachOf((system) => of(system).serverCpu),
    maxMs: round(latency.maxMs, 2),
    orders,
    verifiedOrders: all.reduce((sum, each) => sum + each.verifiedOrders, 0),
    rounds: rounds.map((each) => eachOf((system) => round(each.get(system)!.throughput!.ordersPerSecond))),
    otherCores: others.includes(null) ? null : round(median(others as number[]), 2),
    otherCoresAtRate: latency.otherCores,
    machine: machine(),
    seconds: round(seconds, 1),
  }
}
