/** A thread of a simulation: loads the same target, and does its part. */
import { parentPort, workerData } from 'node:worker_threads'
import { simulatePhases } from 'quadrille/simulate'
import { loadSimulations } from './simulations.ts'
import type { Job, Said } from './workers.ts'

const say = (said: Said): void => parentPort!.postMessage(said)
const { target, cwd, index, overrides, phases } = workerData as Job

try {
  const { choreography, ...options } = (await loadSimulations(target, cwd))[index]!
  const progress = (text: string) => say({ kind: 'progress', text })
  const report = await simulatePhases(choreography, { ...options, ...overrides, progress }, phases)
  say({ kind: 'done', data: report.data })
} catch (error) {
  const { code = 'ERROR', message = String(error) } = error as { code?: string; message?: string }
  say({ kind: 'failed', code, message })
}
