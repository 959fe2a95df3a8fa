/** PostgreSQL, as the machine has it or of a given version, with a cluster of its own. Its settings are `name=value`. */
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { classPath, missingForJava, type Artifact } from './maven.ts'
import { find, type BrokerKind, type Launch, type Place } from './process.ts'

/** The servers that the ledger is tried on besides the machine's own, by their major version. */
const releases = { 14: '14.20.0', 16: '16.11.0', 17: '17.11.0', 18: '18.6.0' } as const

/** A major version that can be started anywhere. */
export type PostgresVersion = `${keyof typeof releases}`

/** All of them. */
export const postgresVersions = Object.keys(releases) as PostgresVersion[]

const platforms: Readonly<Record<string, string>> = {
  'linux x64': 'linux-amd64',
  'linux arm64': 'linux-arm64v8',
  'darwin x64': 'darwin-amd64',
  'darwin arm64': 'darwin-arm64v8',
}

/** The server's programs as the zonky project packs them; undefined where it does not. */
function artifactOf(version: PostgresVersion): Artifact | undefined {
  const platform = platforms[`${process.platform} ${process.arch}`]
  if (platform === undefined) return undefined
  return `io.zonky.test.postgres:embedded-postgres-binaries-${platform}:${releases[version]}`
}

const debianFolder = '/usr/lib/postgresql'

/** The folder of the server's programs, the newest version first; Debian keeps it out of PATH. */
function programs(): string | undefined {
  const versions = existsSync(debianFolder) ? readdirSync(debianFolder).sort((a, b) => Number(b) - Number(a)) : []
  const folders = versions.map((version) => join(debianFolder, version, 'bin'))
  return folders.find((folder) => existsSync(join(folder, 'postgres'))) ?? find('postgres')?.replace(/\/postgres$/, '')
}

/** PostgreSQL does not run as root: then it runs as the user that its package has made. */
const asItsUser = (command: string, args: readonly string[]): readonly [string, ...string[]] =>
  process.getuid?.() === 0
    ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups', command, ...args]
    : [command, ...args]

/** Whoever is killed leaves processes behind that notice it a moment later; until then the new one can not begin. */
const untilItStarts = 'n=0; until "$0" "$@"; do n=$((n+1)); [ $n -lt 100 ] || exit 1; sleep 0.1; done'

const urlAt = (port: number): string => `postgres://postgres@127.0.0.1:${port}/postgres`

/** As the machine has it. */
export const postgres: BrokerKind = {
  name: 'postgres',
  usualPort: 15_432,
  missing: () =>
    programs()
      ? undefined
      : 'postgres not found; install it (Debian: apt-get install postgresql; macOS: brew install postgresql)',
  url: urlAt,
  prepare: async (place) => prepareWith(programs()!, place),
}

/** Of this version, whatever the machine has: from Maven Central, unpacked into the folder of the instance. */
export function postgresOf(version: PostgresVersion): BrokerKind {
  const artifact = artifactOf(version)
  return {
    name: `postgres-${version}`,
    usualPort: 15_400 + Number(version),
    missing: () => (artifact === undefined ? `no PostgreSQL for ${process.arch} at Maven Central` : missingToUnpack()),
    url: urlAt,
    async prepare(place) {
      const programs = join(place.folder, 'postgres')
      if (!existsSync(programs)) await unpack(artifact!, programs)
      return prepareWith(join(programs, 'bin'), place)
    },
  }
}

function prepareWith(bin: string, { folder, port, settings }: Place): Launch {
  const data = join(folder, 'data')
  if (!existsSync(data)) {
    mkdirSync(data)
    chmodSync(folder, 0o711)
    if (process.getuid?.() === 0) succeed(['chown', 'postgres:', data])
    succeed(asItsUser(join(bin, 'initdb'), ['-D', data, '-U', 'postgres', '--auth=trust', '-E', 'UTF8', '--no-sync']))
  }
  const options = ['listen_addresses=127.0.0.1', `port=${port}`, 'unix_socket_directories=', ...settings]
  const flags = options.flatMap((option) => ['-c', option])
  return {
    command: '/bin/sh',
    args: ['-c', untilItStarts, ...asItsUser(join(bin, 'postgres'), ['-D', data, ...flags])],
    readyText: /ready to accept connections/,
    mark: data,
  }
}

function missingToUnpack(): string | undefined {
  const without = ['jar', 'tar', 'xz'].filter((program) => find(program) === undefined)
  if (without.length === 0) return missingForJava()
  return `${without.join(' and ')} not found; install a JDK (17 or newer), tar and xz (Debian: apt-get install default-jdk-headless xz-utils)`
}

/** An archive within an archive: a jar that holds one compressed tar. */
async function unpack(artifact: Artifact, folder: string): Promise<void> {
  const jar = await classPath('postgres', [artifact])
  mkdirSync(folder)
  succeed([find('jar')!, 'xf', jar], folder)
  const archive = readdirSync(folder).find((name) => name.endsWith('.txz'))!
  succeed([find('tar')!, 'xf', archive], folder)
  rmSync(join(folder, archive))
}

function succeed([command, ...args]: readonly [string, ...string[]], cwd?: string): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8', ...(cwd === undefined ? {} : { cwd }) })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`)
}
