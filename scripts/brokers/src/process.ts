/**
 * One broker as a process: started in a folder, ready when its log and its port say so, ended by its process group.
 *
 * A broker that belongs to a test must not outlive it, also when the test is killed: a shell beside it waits for the end
 * of its standard input, which comes with the death of this process, then kills the broker and
 * removes its folder.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { freePort, isOpen } from './tcp.ts'

const readyWithinMs = 120_000
const stopWithinMs = 20_000
const pollMs = 50
const restartsMax = 3

/** Where a broker is to run. */
export interface Place {
  readonly folder: string
  readonly port: number
  /** The port that clients are told to use, where the broker tells them one (Kafka). */
  readonly advertisedPort: number
  /** Further settings in the broker's own words: lines of Kafka's server.properties, arguments of the others. */
  readonly settings: readonly string[]
  /** Arguments of Kafka's tool that formats its disk, such as logins (`--add-scram`). */
  readonly format?: readonly string[]
}

/** How to start a kind of broker. */
export interface BrokerKind {
  readonly name: string
  /** The port of the instance that `up` starts. */
  readonly usualPort: number
  /** What is missing on this machine, and how to get it; undefined when nothing is. */
  missing(): string | undefined
  /** Makes files, and says what to run. */
  prepare(place: Place): Promise<Launch>
  url(port: number): string
}

/** A program to run. */
export interface Launch {
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** In the log once it is ready. */
  readonly readyText: RegExp
  /** In the command line of the process: tells it from another one that has got the same id. */
  readonly mark: string
}

export interface StartOptions {
  readonly port?: number
  readonly advertisedPort?: number
  readonly settings?: readonly string[]
  readonly format?: readonly string[]
}

/** A running broker. */
export interface Broker {
  readonly name: string
  readonly port: number
  /** What a client connects to. */
  readonly url: string
  /** For what is only to be looked at: logs, data. */
  readonly folder: string
  readonly pid: number
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
  /** Starts it again after {@link Broker.kill}, with the same port and data; resolves when it is ready. */
  restart(): Promise<void>
  /** SIGSTOP: its connections stay open, and nothing moves. */
  freeze(): void
  thaw(): void
  /** Ends it and removes its folder. Idempotent. */
  stop(): Promise<void>
}

/** A new instance, which ends with {@link Broker.stop} or with this process. */
export async function startBroker(kind: BrokerKind, options: StartOptions = {}): Promise<Broker> {
  const folder = mkdtempSync(join(tmpdir(), `quadrille-${kind.name}-`))
  const port = options.port ?? (await freePort())
  const { advertisedPort = port, settings = [], format = [] } = options
  const place = { folder, port, advertisedPort, settings, format }
  const launch = await kind.prepare(place)
  let child: ChildProcess | undefined
  let guard: ChildProcess | undefined
  let stopped = false
  const up = async (): Promise<void> => {
    child = run(launch, folder)
    guard = endWithUs(child.pid!, folder)
    await ready({ name: kind.name, launch, folder, port, child })
  }
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child === undefined) return
    const ended = child
    child = undefined
    guard?.kill('SIGKILL')
    await endGroup(ended.pid!, signal)
  }
  const remove = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  try {
    await up()
  } catch (error) {
    await end('SIGKILL')
    remove()
    throw error
  }
  return {
    name: kind.name,
    port,
    url: kind.url(place.advertisedPort),
    folder,
    get pid() {
      return child?.pid ?? 0
    },
    kill: () => end('SIGKILL'),
    async restart() {
      // As a supervisor would: after a kill in the middle of anything some brokers do not come up at the first try.
      for (let starts = 1; child === undefined && !stopped; starts++) {
        await up().catch(async (error: unknown) => {
          await end('SIGKILL')
          if (starts === restartsMax) throw error
        })
      }
    },
    freeze: () => signalGroup(child?.pid, 'SIGSTOP'),
    thaw: () => signalGroup(child?.pid, 'SIGCONT'),
    async stop() {
      stopped = true
      signalGroup(child?.pid, 'SIGCONT')
      // Its data goes too, so it need not take its time to save it.
      await end('SIGKILL')
      remove()
    },
  }
}

/** Starts the program in a process group of its own, with its output in a new log. */
export function run(launch: Launch, folder: string): ChildProcess {
  mkdirSync(folder, { recursive: true })
  const log = openSync(logOf(folder), 'w')
  const child = spawn(launch.command, launch.args, {
    cwd: folder,
    env: { ...process.env, ...launch.env },
    stdio: ['ignore', log, log],
    detached: true,
  })
  closeSync(log)
  child.on('error', () => undefined)
  child.unref()
  return child
}

export const logOf = (folder: string): string => join(folder, 'broker.log')

/** Waits until it is ready; fails with the end of its log when it ends before, or takes too long. */
export async function ready(started: {
  name: string
  launch: Launch
  folder: string
  port: number
  child: ChildProcess
}): Promise<void> {
  const { name, launch, folder, port, child } = started
  const tail = (): string => whatWentWrong(readFileSync(logOf(folder), 'utf8').split('\n'))
  const latest = Date.now() + readyWithinMs
  for (;;) {
    if (child.pid === undefined) throw new Error(`${name}: ${launch.command} can not be started`)
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`${name} ended while starting:\n${tail()}`)
    if (launch.readyText.test(readFileSync(logOf(folder), 'utf8')) && (await isOpen(port))) return
    if (Date.now() > latest) throw new Error(`${name} was not ready after ${readyWithinMs} ms:\n${tail()}`)
    await pause()
  }
}

/** The first lines that tell of an error, and the end. */
function whatWentWrong(lines: readonly string[]): string {
  const errors = lines.slice(0, -10).filter((line) => /\b(ERROR|FATAL)\b|Exception/.test(line))
  return [...errors.slice(0, 10), ...lines.slice(-10)].join('\n')
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, pollMs))

function endWithUs(pid: number, folder: string): ChildProcess {
  const guard = spawn('/bin/sh', ['-c', 'read _; kill -s KILL -- "-$0"; rm -rf "$1"', String(pid), folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  guard.unref()
  ;(guard.stdin as unknown as { unref(): void }).unref()
  return guard
}

export function signalGroup(pid: number | undefined, signal: NodeJS.Signals | 0): boolean {
  if (pid === undefined) return false
  try {
    return process.kill(-pid, signal)
  } catch {
    return false
  }
}

/**
 * Ends a process group and waits until it is gone; what does not go by itself is killed.
 *
 * @throws Error when not even that ends it, such as a process that waits for a disk that does not answer.
 */
export async function endGroup(pid: number, signal: NodeJS.Signals): Promise<void> {
  signalGroup(pid, signal)
  const latest = Date.now() + stopWithinMs
  for (;;) {
    const { state, text } = commandLine(pid)
    if (!signalGroup(pid, 0) || isOver(state)) return
    if (Date.now() > latest) signalGroup(pid, 'SIGKILL')
    if (Date.now() > latest + stopWithinMs) throw new Error(`process ${pid} does not end (${state} ${text})`)
    await pause()
  }
}

/**
 * Dead, and only not yet collected by its parent, as `ps` says it. While other threads of it are still ending (`l`) its files and
 * ports are open: Go and Java have many.
 */
export const isOver = (state: string): boolean => state.startsWith('Z') && !state.includes('l')

/** What a process runs, as `ps` says it; empty when there is none. */
export function commandLine(pid: number): { readonly state: string; readonly text: string } {
  const { stdout } = spawnSync('ps', ['-ww', '-o', 'stat=,command=', '-p', String(pid)], { encoding: 'utf8' })
  const [, state = '', text = ''] = /^\s*(\S+)\s+(.*)/s.exec(stdout ?? '') ?? []
  return { state, text }
}

/** Where servers usually are, besides PATH; `QUADRILLE_PROGRAMS` names other folders. */
const places = process.env['QUADRILLE_PROGRAMS']?.split(delimiter) ?? [
  '/usr/sbin',
  '/usr/local/sbin',
  '/usr/local/bin',
  '/opt/homebrew/sbin',
  '/opt/homebrew/bin',
]

/** Where a program is; undefined when it is not there. */
export function find(program: string): string | undefined {
  return [...(process.env['PATH'] ?? '').split(delimiter), ...places]
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, program))
    .find((path) => existsSync(path))
}
