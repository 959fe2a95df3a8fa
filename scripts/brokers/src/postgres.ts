/** PostgreSQL, as the machine has it, with a cluster of its own. Its settings are `name=value`. */
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { find, type BrokerKind } from './process.ts'

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

export const postgres: BrokerKind = {
  name: 'postgres',
  usualPort: 15_432,
  missing: () =>
    programs()
      ? undefined
      : 'postgres not found; install it (Debian: apt-get install postgresql; macOS: brew install postgresql)',
  url: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
  async prepare({ folder, port, settings }) {
    const bin = programs()!
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
  },
}

function succeed([command, ...args]: readonly [string, ...string[]]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`)
}
