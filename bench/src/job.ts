/** One measurement of one system in a process of its own, so that heaps and compiled code do not mix. */
import { fork } from 'node:child_process'
import type { Latency, Throughput } from './drive.ts'

/** Everything that can be measured. */
export const systemNames = ['quadrille', 'quadrille-batch', 'hand-written', 'hand-written-full', 'emitter'] as const
export type SystemName = (typeof systemNames)[number]

/** Which databases the order flow is measured on, and which systems there are for each. */
export const systemsOn = {
  sqlite: systemNames,
  postgres: ['quadrille', 'quadrille-batch', 'hand-written', 'emitter'],
} as const satisfies Record<string, readonly SystemName[]>
export type LedgerName = keyof typeof systemsOn

/** What the process is to do. */
export interface Job {
  readonly ledger?: LedgerName
  readonly system: SystemName
  readonly database: string
  /** Names the orders: unique for the database. */
  readonly prefix: string
  readonly warmUp: number
  /** All orders at once; left out for 0. */
  readonly orders: number
  /** Then so many orders per second, for so long; left out when undefined. */
  readonly steady?: { readonly rate: number; readonly seconds: number }
  /** Where to write a CPU profile of the throughput phase. */
  readonly profile?: string
  /** Counts and times every SQL statement, which costs time itself. */
  readonly countSql?: boolean
}

/** What the process has found; it has checked the rows before it says so. */
export interface JobResult {
  readonly startMs: number
  readonly throughput: Throughput | null
  readonly latency: Latency | null
  readonly verifiedOrders: number
  readonly facts: Readonly<Record<string, unknown>>
}

const childFile = new URL('./job-process.ts', import.meta.url)
const execArgv = ['--conditions=quadrille-source', '--disable-warning=ExperimentalWarning']

/** Runs a job. @throws Error when it fails or its results are wrong. */
export function runJob(job: Job): Promise<JobResult> {
  return forkTask(childFile, job)
}

/** Runs a module of ours in a new process, hands it its task, and resolves to the one message that it sends. */
export function forkTask<Result>(module: URL, task: unknown): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = fork(module, [JSON.stringify(task)], { execArgv, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    let complaint = ''
    let result: Result | undefined
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (complaint += text))
    child.on('message', (message) => (result = message as Result))
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (code === 0 && result !== undefined) {
        if (complaint !== '') process.stderr.write(complaint)
        resolve(result)
      } else reject(new Error(`a measuring process ended with ${signal ?? code}:\n${complaint.trim()}`))
    })
  })
}
