/** A PostgreSQL server to measure on: databases of our own that are removed afterwards, and the time its processes use. */
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import pg from 'pg'

/** Used when no server is named. */
export const defaultServer = 'postgres://postgres@127.0.0.1:5432/postgres'

const ticksPerSecond = 100

/** Runs one statement on a connection of its own. @throws Error when the server does not answer. */
export async function runOn(server: string, text: string): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: server })
  await client.connect()
  try {
    return await client.query(text)
  } finally {
    await client.end()
  }
}

/** Makes a database with a name that nobody else has, hands out its connection string, and removes it at the end. */
export async function withDatabase<T>(server: string, use: (database: string) => Promise<T>): Promise<T> {
  const name = `quadrille_bench_${randomBytes(6).toString('hex')}`
  await runOn(server, `CREATE DATABASE ${name}`)
  const database = new URL(server)
  database.pathname = `/${name}`
  try {
    return await use(database.href)
  } finally {
    await runOn(server, `DROP DATABASE ${name} WITH (FORCE)`)
  }
}

/** What /proc tells of a process, in ticks of its clock. */
interface ProcessTimes {
  readonly name: string
  readonly parent: number
  readonly own: number
  /** Of children that have ended. */
  readonly ended: number
}

function timesOf(pid: number | string): ProcessTimes | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [name, rest] = [
      stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')),
      stat.slice(stat.lastIndexOf(')') + 2),
    ]
    const fields = rest.split(' ').map(Number)
    return { name, parent: fields[1]!, own: fields[11]! + fields[12]!, ended: fields[13]! + fields[14]! }
  } catch {
    return undefined
  }
}

/** The seconds of processor time that a process has used so far. */
export const secondsOf = (pid: number): number => (timesOf(pid)?.own ?? 0) / ticksPerSecond

/**
 * How to read the seconds of processor time that all processes of a server have used, those of its other databases
 * included. Undefined when it does not run on this machine.
 */
export async function serverMeter(server: string): Promise<(() => number) | undefined> {
  const client = new pg.Client({ connectionString: server })
  await client.connect()
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  const backend = timesOf(rows[0]!.pid)
  await client.end()
  if (backend?.name !== 'postgres') return undefined
  const main = backend.parent
  return () => {
    let ticks = timesOf(main)?.ended ?? 0
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      const times = timesOf(pid)
      if (times && (Number(pid) === main || times.parent === main)) ticks += times.own
    }
    return ticks / ticksPerSecond
  }
}
