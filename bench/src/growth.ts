/** Does it stay fast? The order flow on ledgers with more and more history, and a large backlog. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DrainResult, DrainTask } from './drain-process.ts'
import type { FillTask } from './history.ts'
import { forkTask, runJob, type JobResult } from './job.ts'
import { machine } from './machine.ts'
import { scattered } from './order.ts'
import { median, round } from './statistics.ts'

/** What can be set. */
export interface GrowthOptions {
  /** Events of history, in rising order. */
  readonly sizes: readonly number[]
  readonly backlog: number
  readonly orders: number
  readonly warmUp: number
  readonly rounds: number
  /** Ids of orders come in no order. */
  readonly scatters: boolean
  /** Told what is being done. */
  readonly progress: (text: string) => void
}

/** Throughput on a ledger with so much history. */
export interface SizeResult {
  readonly events: number
  readonly fileMb: number
  readonly ordersPerSecond: number
  readonly rounds: readonly number[]
  /** Of the first (smallest) size. */
  readonly shareOfFirst: number
  readonly cpuSecondsPer1000: number
  /** CPU seconds, of the first size: says more than orders/s when others use the machine. */
  readonly cpuOfFirst: number
  readonly startMs: number
  readonly rssBeforeMb: number
  readonly rssAfterMb: number
}

/** What is printed as JSON. */
export interface GrowthResult {
  readonly sizes: readonly SizeResult[]
  /** A fresh ledger of the first size, measured last: how much of a difference is the machine's. */
  readonly control: SizeResult
  readonly backlog: Readonly<Record<string, unknown>> | null
  readonly machine: Readonly<Record<string, unknown>>
  readonly seconds: number
}

const eventsPerOrder = 4
const historyProcess = new URL('./history-process.ts', import.meta.url)
const drainProcess = new URL('./drain-process.ts', import.meta.url)
const fill = (task: FillTask): Promise<unknown> => forkTask(historyProcess, task)
const megabytes = (file: string): number => Math.round(statSync(file).size / 1024 / 1024)

/** Measures. @throws Error when a run has left wrong results behind. */
export async function growth(options: GrowthOptions): Promise<GrowthResult> {
  const began = performance.now()
  const folder = mkdtempSync(join(tmpdir(), 'quadrille-growth-'))
  try {
    const files = await prepare(folder, options)
    const found = await measure(files, options)
    for (const { file } of files) rmSync(file, { force: true })
    const [first] = found as [SizeResult, ...SizeResult[]]
    const control = await measureControl(folder, options)
    return {
      sizes: found.map((each) => compared(each, first)),
      control: compared(control, first),
      backlog: options.backlog > 0 ? await drainBacklog(folder, options) : null,
      machine: machine(),
      seconds: round((performance.now() - began) / 1000, 1),
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const prefixOf = (prefix: string, { scatters }: GrowthOptions): string => (scatters ? scattered : '') + prefix

/** With its shares of the first size. */
const compared = (one: SizeResult, first: SizeResult): SizeResult => ({
  ...one,
  shareOfFirst: round(one.ordersPerSecond / first.ordersPerSecond, 3),
  cpuOfFirst: round(one.cpuSecondsPer1000 / first.cpuSecondsPer1000, 3),
})

interface SizedFile {
  readonly file: string
  readonly events: number
}

/** One file a size, each a copy of the one before with more history. */
async function prepare(folder: string, options: GrowthOptions): Promise<readonly SizedFile[]> {
  const { sizes, progress } = options
  const files: SizedFile[] = []
  for (const events of sizes) {
    const place = join(folder, `${events}`)
    mkdirSync(place)
    const file = join(place, 'orders.db')
    const before = files.at(-1)
    if (before) copyFileSync(before.file, file)
    const from = Math.round((before?.events ?? 0) / eventsPerOrder)
    progress(`filling a ledger with ${events} events`)
    await fill({ file, kind: 'history', prefix: prefixOf('h', options), from, to: Math.round(events / eventsPerOrder) })
    files.push({ file, events })
  }
  return files
}

/** Rounds over all sizes, forwards and backwards, so that the noise of the machine falls on all of them. */
async function measure(files: readonly SizedFile[], options: GrowthOptions): Promise<readonly SizeResult[]> {
  const results = new Map<number, JobResult[]>(files.map(({ events }) => [events, []]))
  const sizes = new Map(files.map(({ file, events }) => [events, megabytes(file)]))
  for (let number = 0; number < options.rounds; number++) {
    for (const { file, events } of number % 2 === 0 ? files : files.toReversed()) {
      const { warmUp, orders } = options
      const prefix = prefixOf(`r${number}`, options)
      const result = await runJob({ system: 'quadrille', database: file, prefix, warmUp, orders })
      results.get(events)!.push(result)
      options.progress(`${events} events: ${round(result.throughput!.ordersPerSecond)} orders/s`)
    }
  }
  return files.map(({ events }) => sizeResult(results.get(events)!, { events, fileMb: sizes.get(events)! }))
}

function sizeResult(results: readonly JobResult[], of: { events: number; fileMb: number }): SizeResult {
  const runs = results.map((each) => each.throughput!)
  const middle = (value: (run: (typeof runs)[number]) => number): number => median(runs.map(value))
  return {
    ...of,
    ordersPerSecond: round(middle((run) => run.ordersPerSecond)),
    rounds: runs.map((run) => round(run.ordersPerSecond)),
    shareOfFirst: 1,
    cpuOfFirst: 1,
    cpuSecondsPer1000: round(
      middle((run) => run.cpuSecondsPer1000),
      3,
    ),
    startMs: round(median(results.map((each) => each.startMs))),
    rssBeforeMb: round(middle((run) => run.rssBeforeMb)),
    rssAfterMb: round(middle((run) => run.rssAfterMb)),
  }
}

async function measureControl(folder: string, options: GrowthOptions): Promise<SizeResult> {
  const place = join(folder, 'control')
  mkdirSync(place)
  options.progress('control: a fresh ledger of the first size')
  const [file] = await prepare(place, { ...options, sizes: options.sizes.slice(0, 1) })
  const [result] = await measure([file!], options)
  rmSync(place, { recursive: true, force: true })
  return result!
}

async function drainBacklog(
  folder: string,
  { backlog, progress }: GrowthOptions,
): Promise<Readonly<Record<string, unknown>>> {
  const file = join(folder, 'backlog.db')
  progress(`filling a backlog of ${backlog} events`)
  await fill({ file, kind: 'backlog', prefix: 'b', from: 0, to: backlog })
  progress('draining it')
  const task: DrainTask = { file, prefix: 'b', orders: backlog }
  const found = await forkTask<DrainResult>(drainProcess, task)
  const { tenths } = found
  return {
    events: backlog,
    seconds: round(found.seconds, 1),
    eventsPerSecond: round(backlog / found.seconds),
    firstTenthPerSecond: tenths[0]!.ordersPerSecond,
    lastTenthPerSecond: tenths.at(-1)!.ordersPerSecond,
    cpuSecondsPer1000: round(found.cpuSecondsPer1000, 3),
    otherCores: found.otherCores,
    rssAtStartMb: found.rssAtStartMb,
    rssFirstTenthMb: tenths[0]!.rssMb,
    rssLastTenthMb: tenths.at(-1)!.rssMb,
    rssMaxMb: Math.max(...tenths.map((tenth) => tenth.rssMb)),
    tenths,
    fileMb: megabytes(file),
  }
}
