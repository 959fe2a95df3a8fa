/** One service as a process of its own, started by hand, on the data that it shares with the others. */
import { mkdir } from 'node:fs/promises'
import { untilAborted } from './until-aborted.ts'
import type { WireAt } from './wires.ts'
import { startWorker, type ServiceName } from './worker.ts'

export interface AloneOptions {
  readonly service: ServiceName
  /** A SQLite file, or the address of a PostgreSQL database. */
  readonly database: string
  /** Made when it is missing. Undefined where nothing is kept in a folder. */
  readonly data?: string
  readonly port: number
  readonly provider?: string
  readonly mailbox?: string
  readonly wire?: WireAt | undefined
}

/** Runs until it is told to stop. Returns the exit code. */
export async function serveAlone(options: AloneOptions, stop: AbortSignal): Promise<number> {
  const { service, data, database, port, provider, mailbox, wire } = options
  const missing =
    service === 'payments' && !provider ? '--provider' : service === 'notifications' && !mailbox ? '--mailbox' : null
  if (missing) {
    console.error(`error: --service ${service} needs ${missing}: the address that a run without --service prints`)
    return 1
  }
  if (data) await mkdir(data, { recursive: true })
  // A service that never calls the outside needs no address; this one leads nowhere.
  const nowhere = 'http://127.0.0.1:9'
  const outside = { provider: provider ?? nowhere, mailbox: mailbox ?? nowhere }
  const worker = await startWorker({ database, services: [service], port, wire, ...outside })
  console.log(`${service} runs on ${database}${worker.api ? `, its API at ${worker.api}` : ''} (Ctrl-C stops)`)
  await untilAborted(stop)
  await worker.stop()
  return 0
}
