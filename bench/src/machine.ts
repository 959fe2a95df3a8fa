/** What the machine is and does: its processors, its load, and what others use of it while we measure. */
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg } from 'node:os'
import { round } from './statistics.ts'

const ticksPerSecond = 100

/** Seconds of processor time that the whole machine has been busy; null where it does not tell (not Linux). */
function busySeconds(): number | null {
  try {
    const [first] = readFileSync('/proc/stat', 'utf8').split('\n', 1)
    const [user, nice, system, , , irq, softirq, steal] = first!.split(/\s+/).slice(1).map(Number)
    return (user! + nice! + system! + irq! + softirq! + steal!) / ticksPerSecond
  } catch {
    return null
  }
}

/** What has been used since {@link meter} was called. */
export interface Reading {
  readonly seconds: number
  /** Of this process, garbage collector and helper threads included. */
  readonly cpuSeconds: number
  /** Of the processes of the database server; 0 when there is none. */
  readonly serverCpuSeconds: number
  /** Used by everything else on the machine, in cores; null where it does not tell. */
  readonly otherCores: number | null
}

/** Starts to measure; the function it returns reads. `serverSeconds` tells what the database server has used so far. */
export function meter(serverSeconds: () => number = () => 0): () => Reading {
  const began = performance.now()
  const cpu = process.cpuUsage()
  const server = serverSeconds()
  const busy = busySeconds()
  return () => {
    const seconds = (performance.now() - began) / 1000
    const used = process.cpuUsage(cpu)
    const cpuSeconds = (used.user + used.system) / 1e6
    const now = busySeconds()
    const serverCpuSeconds = serverSeconds() - server
    const ours = cpuSeconds + serverCpuSeconds
    const others = busy === null || now === null ? null : Math.max(0, round((now - busy - ours) / seconds, 2))
    return { seconds, cpuSeconds, serverCpuSeconds, otherCores: others }
  }
}

/** The machine, as far as a result can not be judged without it. */
export function machine(): Readonly<Record<string, unknown>> {
  return {
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    loadAverage: loadavg().map((load) => round(load, 2)),
  }
}
