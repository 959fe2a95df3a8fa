// Makes the repository ready to run, whatever Node started this: installs what package-lock.json says when that has not
// happened yet or is out of date, the pinned Node among it. Plain JavaScript without dependencies, for Node 12 and later.
import { spawnSync } from 'node:child_process'
import { existsSync, statSync, utimesSync } from 'node:fs'
import { delimiter, dirname, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const installed = join(root, 'node_modules', '.package-lock.json')
const wanted = join(root, 'package-lock.json')
const onPath = join(root, 'node_modules', '.bin', process.platform === 'win32' ? 'node.cmd' : 'node')
const pinnedNode = join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
const oldestNode = [22, 18]

const reason = whyInstall()
if (reason !== undefined) {
  console.log(`set-up: ${reason}, running npm ci`)
  const status = run('npm', ['ci', '--include=dev', '--loglevel=error'], root)
  if (status !== 0) {
    console.error('set-up: npm ci failed')
    process.exit(status)
  }
  const now = new Date()
  utimesSync(installed, now, now)
}
if (!pinnedNodeRuns()) fetchPinnedNode()

function whyInstall() {
  if (!existsSync(installed)) return 'nothing is installed yet'
  if (!existsSync(wanted)) return undefined
  if (statSync(wanted).mtimeMs > statSync(installed).mtimeMs) return 'package-lock.json is newer than node_modules'
  return undefined
}

/** npm without the repository's own binaries on PATH: npm ci replaces them, also the Node it would be running on. */
function run(command, args, cwd) {
  const path = (process.env.PATH || '')
    .split(delimiter)
    .filter((folder) => !folder.endsWith(`node_modules${sep}.bin`))
    .join(delimiter)
  const env = Object.assign({}, process.env, { PATH: path })
  const done = spawnSync(command, args, { cwd, env, stdio: 'inherit', shell: process.platform === 'win32' })
  return done.status === null ? 1 : done.status
}

function pinnedNodeRuns() {
  return existsSync(onPath) && existsSync(pinnedNode) && spawnSync(pinnedNode, ['--version']).status === 0
}

/** Where install scripts are switched off, npm ci leaves the pinned Node without its binary: this runs that one script. */
function fetchPinnedNode() {
  console.log('set-up: the pinned Node is missing, fetching it')
  const status = run('npm', ['rebuild', 'node', '--ignore-scripts=false', '--loglevel=error'], root)
  if (status === 0 && pinnedNodeRuns()) return
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1])) {
    console.log(`set-up: the pinned Node could not be fetched, going on with Node ${process.versions.node}`)
    return
  }
  console.error(`set-up: the pinned Node could not be fetched, and Node ${process.versions.node} is older than 22.18`)
  process.exit(1)
}
