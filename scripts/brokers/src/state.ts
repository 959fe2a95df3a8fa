/** The instances that `up` leaves running: one of each kind, its process id and port in a file. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from './cache.ts'
import { commandLine, endGroup, logOf, ready, run, signalGroup, type Broker, type BrokerKind } from './process.ts'
import { isOpen } from './tcp.ts'

interface Saved {
  readonly pid: number
  readonly port: number
  readonly mark: string
}

/** An instance that is running. */
export interface Running {
  readonly pid: number
  readonly port: number
  readonly url: string
  asBroker(): Broker
}

const fileOf = (kind: BrokerKind): string => join(cacheFolder(kind.name), 'running.json')

/** The running instance of a kind; undefined when there is none. */
export function stateOf(kind: BrokerKind): Running | undefined {
  if (!existsSync(fileOf(kind))) return undefined
  const { pid, port, mark } = JSON.parse(readFileSync(fileOf(kind), 'utf8')) as Saved
  const { state, text } = commandLine(pid)
  if (state.startsWith('Z') || !text.includes(mark)) return undefined
  const folder = cacheFolder(kind.name)
  const notOurs = (): never => {
    throw new Error(`${kind.name} on port ${port} is shared; take start() for one that may be killed`)
  }
  const asBroker = (): Broker => ({
    name: kind.name,
    port,
    url: kind.url(port),
    folder,
    pid,
    kill: notOurs,
    restart: notOurs,
    freeze: notOurs,
    thaw: notOurs,
    stop: async () => undefined,
  })
  return { pid, port, url: kind.url(port), asBroker }
}

/** Starts it unless it runs; its data of last time is kept. */
export async function up(kind: BrokerKind, port = kind.usualPort): Promise<{ running: Running; was: boolean }> {
  const before = stateOf(kind)
  if (before !== undefined) return { running: before, was: true }
  const missing = kind.missing()
  if (missing !== undefined) throw new Error(`${kind.name}: ${missing}`)
  if (await isOpen(port)) {
    throw new Error(`${kind.name}: port ${port} is taken by another process; give one with --port ${kind.name}=NUMBER`)
  }
  const folder = cacheFolder(kind.name)
  mkdirSync(folder, { recursive: true })
  const launch = await kind.prepare({ folder, port, advertisedPort: port, settings: [] })
  const child = run(launch, folder)
  try {
    await ready({ name: kind.name, launch, folder, port, child })
    const { text } = commandLine(child.pid!)
    if (!text.includes(launch.mark)) throw new Error(`${kind.name}: no ${launch.mark} in its command line: ${text}`)
  } catch (error) {
    signalGroup(child.pid, 'SIGKILL')
    throw error
  }
  writeFileSync(fileOf(kind), JSON.stringify({ pid: child.pid, port, mark: launch.mark } satisfies Partial<Saved>))
  return { running: stateOf(kind)!, was: false }
}

/** Ends the running instance; false when there was none. `wipe` removes its data too. */
export async function down(kind: BrokerKind, wipe = false): Promise<boolean> {
  const running = stateOf(kind)
  if (running !== undefined) await endGroup(running.pid, 'SIGTERM')
  rmSync(fileOf(kind), { force: true })
  if (wipe) rmSync(cacheFolder(kind.name), { recursive: true, force: true })
  return running !== undefined
}

/** Where the log of the running instance is. */
export const logFile = (kind: BrokerKind): string => logOf(cacheFolder(kind.name))
