/** The process of one measurement: starts the system, drives it, checks what it has left behind, and reports. */
import { profiled } from './cpu-profile.ts'
import { steady, throughput, Tracker, warmUp, type Driven } from './drive.ts'
import type { Job, JobResult } from './job.ts'
import { serverMeter } from './postgres-server.ts'
import { SqlMeter } from './sql-meter.ts'
import { startEmitter } from './systems/emitter.ts'
import { startHandWritten } from './systems/hand-written.ts'
import { startHandWrittenPostgres } from './systems/hand-written-postgres.ts'
import type { OrderSystem, SystemOptions } from './systems/system.ts'
import { checkTally } from './tally.ts'

/** What is not measured is not loaded either. */
async function startSystem({ system: name, ledger }: Job, options: SystemOptions): Promise<OrderSystem> {
  if (name === 'emitter') return startEmitter(options)
  if (ledger === 'postgres') {
    if (name === 'hand-written') return startHandWrittenPostgres(options)
    const { createPostgresTables, startQuadrillePostgres } = await import('./systems/quadrille-postgres.ts')
    await createPostgresTables(options.database)
    return startQuadrillePostgres({ ...options, batches: name === 'quadrille-batch' })
  }
  if (name === 'hand-written') return startHandWritten({ ...options, synchronous: 'NORMAL' })
  if (name === 'hand-written-full') return startHandWritten({ ...options, synchronous: 'FULL' })
  const { startQuadrille } = await import('./systems/quadrille.ts')
  return startQuadrille({ ...options, batches: name === 'quadrille-batch' })
}

async function run(job: Job): Promise<JobResult> {
  const sql = job.countSql ? new SqlMeter() : undefined
  const tracker = new Tracker()
  const began = performance.now()
  const system = await startSystem(job, { database: job.database, notified: tracker.notified })
  const startMs = performance.now() - began
  const serverSeconds = job.ledger === 'postgres' ? await serverMeter(job.database) : undefined
  const driven: Driven = { system, tracker, serverSeconds }
  const phases: [prefix: string, orders: number][] = []
  if (job.warmUp > 0) {
    await warmUp(driven, `${job.prefix}w`, job.warmUp)
    phases.push([`${job.prefix}w`, job.warmUp])
  }
  let throughputFound: JobResult['throughput'] = null
  let facts: Record<string, unknown> = {}
  if (job.orders > 0) {
    sql?.reset()
    const before = system.facts?.()
    throughputFound = await profiled(job.profile, () => throughput(driven, `${job.prefix}t`, job.orders))
    facts = { ...(before && { before, after: system.facts?.() }), ...(sql && { sql: sql.report(job.orders) }) }
    tracker.takeLatencies()
    phases.push([`${job.prefix}t`, job.orders])
  }
  let latency: JobResult['latency'] = null
  if (job.steady) {
    latency = await steady(driven, `${job.prefix}s`, job.steady)
    phases.push([`${job.prefix}s`, latency.orders])
  }
  await system.stop()
  if (tracker.strays > 0) throw new Error(`${job.system}: ${tracker.strays} notifications too many`)
  let verifiedOrders = 0
  for (const [prefix, orders] of phases) {
    checkTally(job.system, await system.tally(prefix), orders)
    verifiedOrders += orders
  }
  return { startMs, throughput: throughputFound, latency, verifiedOrders, facts }
}

const result = await run(JSON.parse(process.argv[2]!) as Job)
process.send!(result, () => process.disconnect())
