/** Runs a simulation in several threads: one searches systematically, the others at random. */
import { Worker } from 'node:worker_threads'
import { QuadrilleError, type Duration } from 'quadrille'
import { mergeReports, simulatePhases, type Phase, type ReportData, type SimulationReport } from 'quadrille/simulate'
import type { Simulation } from '../config.ts'

/** What the command line decides, whatever the config says; plain data, so that it gets to a thread. */
export interface Overrides {
  readonly seed?: number
  readonly budget?: Duration
  readonly maxFaults?: number
  readonly schedules?: number
  readonly conversations?: number
}

/** One simulation of a target. */
export interface Job {
  readonly target: string
  readonly cwd: string
  /** Which of the target's simulations. */
  readonly index: number
  readonly overrides: Overrides
  readonly phases: readonly Phase[]
}

/** What a thread says. */
export type Said =
  | { readonly kind: 'progress'; readonly text: string }
  | { readonly kind: 'done'; readonly data: ReportData }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }

const all: readonly Phase[] = ['default', 'single', 'exhaustive', 'random']
const systematic: readonly Phase[] = ['default', 'single', 'exhaustive']
/** Far enough apart that no two threads draw the same schedules. */
const seedStep = 7_919

/** @param how - `workers`: 1 for this thread, which makes the result depend on nothing but the seed. */
export async function runSimulation(
  simulation: Simulation,
  job: Omit<Job, 'phases'>,
  how: { readonly workers: number; readonly progress: (text: string) => void },
): Promise<SimulationReport> {
  const { workers, progress } = how
  if (workers === 1) return simulatePhases(simulation.choreography, { ...simulation, ...job.overrides, progress }, all)
  const seed = job.overrides.seed ?? simulation.seed ?? 1
  const jobs = Array.from({ length: workers }, (_, number): Job => ({
    ...job,
    phases: number === 0 ? systematic : ['random'],
    overrides: { ...job.overrides, seed: seed + number * seedStep },
  }))
  const threads = jobs.map((each) => new Worker(new URL(workerFile, import.meta.url), { workerData: each }))
  const latest = new Map<Worker, string>()
  const told = (thread: Worker, text: string) => {
    latest.set(thread, text)
    progress(threads.flatMap((each) => latest.get(each) ?? []).join(' | '))
  }
  try {
    return mergeReports(await firstFindingOrAll(threads, told))
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()))
  }
}

/** Beside this file, as source or as built. */
const workerFile = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js'

/** A finding ends it: what the others have done by then is not known. */
function firstFindingOrAll(
  threads: readonly Worker[],
  told: (thread: Worker, text: string) => void,
): Promise<readonly ReportData[]> {
  return new Promise((resolve, reject) => {
    const done = new Map<Worker, ReportData>()
    for (const thread of threads) {
      thread.on('error', reject)
      thread.on('message', (said: Said) => {
        if (said.kind === 'progress') return told(thread, said.text)
        if (said.kind === 'failed')
          return reject(new QuadrilleError('SIMULATION_INVALID', { problem: `${said.code}: ${said.message}` }))
        done.set(thread, said.data)
        if (said.data.findings.length > 0) resolve([said.data])
        else if (done.size === threads.length) resolve(threads.map((each) => done.get(each)!))
      })
    }
  })
}
