/**
 * The order application on a PostgreSQL of its own, several processes a service, while one process after the other is
 * killed, and the server too: is anything lost, done twice or stuck, and do tables and memory stay bounded?
 */
import { realBroker, type Broker } from '@quadrille/brokers'
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { machine } from './machine.ts'
import { round } from './statistics.ts'

/** What can be set. */
export interface SurvivalOptions {
  readonly orders: number
  /** Of each of the four services. */
  readonly processes: number
  /** Orders a second. */
  readonly rate: number
  readonly seed: number
  /** Pauses between kills are so many times as long as 0.3 to 1.5 seconds. */
  readonly killsApart: number
  /** How often the server is killed, evenly over the run. */
  readonly serverKills: number
  /** For how long what was handled is remembered; undefined for longer than any run. */
  readonly remember: string | undefined
  readonly progress: (text: string) => void
}

/** What the application says at its end, as far as it is looked at here. */
interface Summary {
  readonly orders: number
  readonly completed: number
  readonly cancelled: number
  readonly lost: number
  readonly duplicates: number
  readonly invariants: 'hold' | readonly string[]
  readonly kills: number
  readonly repeatedCharges: number
  readonly repeatedMails: number
}

/** A look at what could grow. */
export interface Sample {
  readonly second: number
  readonly orders: number
  /** The ledger's tables with their indexes, megabytes. */
  readonly ledgerMb: number
  /** Counted: events, ids of events that were trimmed, records. */
  readonly events: number
  readonly ids: number
  readonly records: number
  /** Of all processes of the services together, and of the largest of them. */
  readonly rssMb: number
  readonly rssMostMb: number
}

/** What is printed as JSON. */
export interface SurvivalResult extends Summary {
  readonly processes: number
  readonly serverKills: number
  readonly seconds: number
  readonly ordersPerSecond: number
  readonly remember: string | null
  /** What the processes have said, by sentence, with how often. */
  readonly warnings: Readonly<Record<string, number>>
  readonly samples: readonly Sample[]
  readonly machine: Readonly<Record<string, unknown>>
}

const application = fileURLToPath(new URL('../../examples/orders/src/main.ts', import.meta.url))
const lookEveryMs = 1_000
const sampleEveryMs = 10_000
const serverSettings = ['max_connections=200', 'shared_buffers=128MB', 'autovacuum_naptime=10s']

/** Runs it. @throws Error when the application ends without a summary. */
export async function survival(options: SurvivalOptions): Promise<SurvivalResult> {
  const server = await realBroker('postgres').start({ settings: serverSettings })
  try {
    return await run(server, options)
  } finally {
    await server.stop()
  }
}

async function run(server: Broker, options: SurvivalOptions): Promise<SurvivalResult> {
  const began = performance.now()
  const shop = startShop(server.url, options)
  const watching = new AbortController()
  const watch = watchOver({ server, pid: shop.pid, options, signal: watching.signal })
  // Whoever ends this ends the application with it, and so the server.
  process.once('SIGTERM', shop.stop).once('SIGINT', shop.stop)
  try {
    const { code, out, warnings } = await shop.ended
    watching.abort()
    const { samples, serverKills } = await watch
    const line = out.trim().split('\n').at(-1) ?? ''
    if (!line.startsWith('{')) throw new Error(`the order application ended with ${code}:\n${out}${warnings.last}`)
    const summary = JSON.parse(line) as Summary
    const seconds = (performance.now() - began) / 1000
    return {
      ...summary,
      processes: options.processes * 4,
      serverKills,
      seconds: round(seconds, 1),
      ordersPerSecond: round(summary.orders / seconds),
      remember: options.remember ?? null,
      warnings: warnings.counts,
      samples,
      machine: machine(),
    }
  } finally {
    watching.abort()
    shop.kill()
  }
}

function startShop(ledger: string, { orders, processes, rate, seed, killsApart, remember }: SurvivalOptions) {
  const numbers = { orders, processes, rate, seed, 'kills-apart': killsApart, ...(remember && { remember }) }
  const given = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, `${value}`])
  const args = [
    '--conditions=quadrille-source',
    application,
    '--once',
    '--json',
    '--chaos',
    '--ledger',
    ledger,
    ...given,
  ]
  // Processes that are killed and started again every second would spend most of their lives compiling.
  const env = { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'quadrille-compile-cache') }
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  const warnings = { counts: {} as Record<string, number>, last: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    warnings.last = (warnings.last + text).slice(-2_000)
    for (const [, sentence] of text.matchAll(/^quadrille \w+ (.*?)(?: \{|$)/gm)) {
      const kind = sentence!.replace(/\d+/g, 'N')
      warnings.counts[kind] = (warnings.counts[kind] ?? 0) + 1
    }
  })
  const ended = new Promise<{ code: number | null; out: string; warnings: typeof warnings }>((resolve) => {
    child.on('close', (code) => resolve({ code, out, warnings }))
  })
  return { pid: child.pid!, ended, stop: () => child.kill('SIGTERM'), kill: () => child.kill('SIGKILL') }
}

interface Watch {
  readonly server: Broker
  readonly pid: number
  readonly options: SurvivalOptions
  readonly signal: AbortSignal
}

/** Kills the server when its time has come, and looks at sizes now and then. */
async function watchOver({ server, pid, options, signal }: Watch) {
  const samples: Sample[] = []
  const began = performance.now()
  let serverKills = 0
  let sampledAt = -Infinity
  while (!signal.aborted) {
    await sleep(lookEveryMs, undefined, { signal }).catch(() => {})
    const second = round((performance.now() - began) / 1000)
    const look = await lookAt(server.url).catch(() => undefined)
    if (!look || signal.aborted) continue
    if (
      look.orders >= ((serverKills + 1) * options.orders) / (options.serverKills + 1) &&
      serverKills < options.serverKills
    ) {
      options.progress(`${second} s: ${look.orders} orders; the server is killed`)
      await server.kill()
      await server.restart()
      serverKills += 1
      options.progress(`the server is back after ${round((performance.now() - began) / 1000 - second, 1)} s`)
    }
    if (performance.now() - sampledAt < sampleEveryMs) continue
    sampledAt = performance.now()
    const sample = { second, ...look, ...memoryOf(pid) }
    samples.push(sample)
    options.progress(JSON.stringify(sample))
  }
  return { samples, serverKills }
}

async function lookAt(url: string): Promise<Omit<Sample, 'second' | 'rssMb' | 'rssMostMb'>> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000, query_timeout: 5_000 })
  client.on('error', () => {})
  await client.connect()
  try {
    const { rows } = await client.query<Awaited<ReturnType<typeof lookAt>>>(`
      SELECT (SELECT count(*)::int FROM orders_order) AS orders,
        (SELECT count(*)::int FROM quadrille.events) AS events,
        (SELECT count(*)::int FROM quadrille.trimmed) AS ids,
        (SELECT count(*)::int FROM quadrille.records) AS records,
        round(sum(pg_total_relation_size(relid)) / 1048576.0)::int AS "ledgerMb"
      FROM pg_stat_user_tables WHERE schemaname = 'quadrille'`)
    return rows[0]!
  } finally {
    await client.end()
  }
}

/** The memory of the processes that this one has started. */
function memoryOf(parent: number): Pick<Sample, 'rssMb' | 'rssMostMb'> {
  const sizes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => statusOf(name))
    .filter((status) => status.parent === parent)
    .map((status) => status.rssMb)
  return { rssMb: sizes.reduce((sum, size) => sum + size, 0), rssMostMb: Math.max(0, ...sizes) }
}

function statusOf(pid: string): { readonly parent: number; readonly rssMb: number } {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'utf8')
    const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0)
    return { parent: field('PPid'), rssMb: Math.round(field('VmRSS') / 1024) }
  } catch {
    return { parent: 0, rssMb: 0 }
  }
}
