/** A PostgreSQL cluster of a test's own, which may be killed and restarted; and a pooler before it. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sleep, systemEnv } from 'quadrille'
import { onServer } from './database.ts'

const debianFolder = '/usr/lib/postgresql'
const readyMs = 20_000
const isRoot = process.getuid?.() === 0

/** The folder of the server's programs, the newest version first. */
function programs(): string | undefined {
  if (!existsSync(debianFolder)) return undefined
  const versions = readdirSync(debianFolder).sort((a, b) => Number(b) - Number(a))
  return versions.map((version) => join(debianFolder, version, 'bin')).find((bin) => existsSync(join(bin, 'initdb')))
}

/** Where a program is, if it is there. */
const find = (name: string): string | undefined =>
  ['/usr/sbin', '/usr/bin', '/usr/local/bin'].map((folder) => join(folder, name)).find((path) => existsSync(path))

/** False when clusters can be made here, else why tests that need one are skipped. In CI that is a failure. */
export const clusterMissing = (): string | false => missing(programs() ? undefined : 'no initdb on this machine')

/** The same for the pooler. */
export const poolerMissing = (): string | false =>
  missing(find('pgbouncer') ? undefined : 'no pgbouncer on this machine (Debian: apt-get install pgbouncer)')

function missing(why: string | undefined): string | false {
  if (why !== undefined && process.env['CI'] === 'true') throw new Error(why)
  return why ?? false
}

/** Neither the server nor the pooler runs as root: then they run as the user that the server's package has made. */
const asItsUser = (command: string, args: readonly string[]): [string, string[]] =>
  isRoot
    ? ['setpriv', ['--reuid=postgres', '--regid=postgres', '--init-groups', command, ...args]]
    : [command, [...args]]

function succeed(command: string, args: readonly string[], input?: string): string {
  const { status, stderr, stdout } = spawnSync(command, args, { encoding: 'utf8', ...(input ? { input } : {}) })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`)
  return stdout
}

/** A port of this machine that is free. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'quadrille-pg-'))
  chmodSync(folder, 0o755)
  return folder
}

async function untilReady(url: string): Promise<void> {
  const began = systemEnv.elapsed()
  for (;;) {
    try {
      return await onServer(async (client) => void (await client.query('SELECT 1')), url)
    } catch (error) {
      if (systemEnv.elapsed() - began > readyMs) throw error
      await sleep(systemEnv, 50)
    }
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  await new Promise((resolve) => child.once('exit', resolve))
}

/** A cluster that listens on a free port of loopback. */
export class Cluster {
  readonly port: number
  readonly #folder: string
  readonly #settings: readonly string[]
  #server: ChildProcess | undefined

  private constructor(folder: string, port: number, settings: readonly string[]) {
    this.#folder = folder
    this.port = port
    this.#settings = settings
  }

  static async make(...settings: readonly string[]): Promise<Cluster> {
    const folder = temporaryFolder()
    const data = join(folder, 'data')
    succeed('mkdir', [data])
    if (isRoot) succeed('chown', ['postgres:', data])
    const args = ['-D', data, '-U', 'postgres', '--auth=trust', '-E', 'UTF8', '--no-sync']
    succeed(...asItsUser(join(programs()!, 'initdb'), args))
    const cluster = new Cluster(folder, await freePort(), settings)
    await cluster.start()
    return cluster
  }

  get url(): string {
    return this.urlOf('postgres')
  }

  urlOf(database: string): string {
    return `postgres://postgres@127.0.0.1:${this.port}/${database}`
  }

  async start(): Promise<void> {
    const options = ['listen_addresses=127.0.0.1', `port=${this.port}`, 'unix_socket_directories=', ...this.#settings]
    const flags = ['-D', join(this.#folder, 'data'), ...options.flatMap((option) => ['-c', option])]
    const spawnServer = () => {
      const server = spawn(...asItsUser(join(programs()!, 'postgres'), flags), { stdio: 'ignore' })
      this.#server = server
      // What a killed server leaves behind notices it a moment later; until then the new one can not begin.
      server.once('exit', (code) => {
        if (code !== null && code !== 0 && this.#server === server && !ready) setTimeout(spawnServer, 100)
      })
    }
    let ready = false
    spawnServer()
    await untilReady(this.url)
    ready = true
  }

  /** SIGKILL to the server: nothing is written any more, as when the power goes. Its children notice and end. */
  async kill(): Promise<void> {
    this.#server!.kill('SIGKILL')
    await ended(this.#server!)
  }

  /** An orderly end that waits for nobody. */
  async stop(): Promise<void> {
    this.#server!.kill('SIGINT')
    await ended(this.#server!)
  }

  /** Copies a database as `pg_dump` and `psql` do. */
  copyTo(target: Cluster, database: string): void {
    const flags = (cluster: Cluster) => ['-h', '127.0.0.1', '-p', String(cluster.port), '-U', 'postgres']
    const dump = succeed(join(programs()!, 'pg_dump'), [...flags(this), database])
    succeed(join(programs()!, 'createdb'), [...flags(target), `${database}`])
    succeed(join(programs()!, 'psql'), [...flags(target), '-q', '-v', 'ON_ERROR_STOP=1', database], dump)
  }

  async remove(): Promise<void> {
    if (this.#server?.exitCode === null && this.#server.signalCode === null) await this.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** PgBouncer in transaction mode before a server, without support for prepared statements. */
export async function startPooler(serverPort: number): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const folder = temporaryFolder()
  const port = await freePort()
  const config = join(folder, 'pgbouncer.ini')
  writeFileSync(join(folder, 'users.txt'), '"postgres" ""\n')
  writeFileSync(
    config,
    `[databases]
* = host=127.0.0.1 port=${serverPort}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${join(folder, 'users.txt')}
pool_mode = transaction
default_pool_size = 6
max_client_conn = 200
ignore_startup_parameters =
`,
  )
  const child = spawn(...asItsUser(find('pgbouncer')!, [config]), { stdio: 'ignore' })
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  await untilReady(url)
  return {
    url,
    async stop() {
      child.kill('SIGTERM')
      await ended(child)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
