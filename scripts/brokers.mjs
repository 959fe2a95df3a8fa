// Starts and ends real brokers on loopback: `node scripts/brokers.mjs` says how. Runs on any Node, by way of the pinned one.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import './ensure-setup.mjs'

const scripts = dirname(fileURLToPath(import.meta.url))
const pinned = join(scripts, '..', 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
const node = existsSync(pinned) ? pinned : process.execPath
const args = [join(scripts, 'brokers', 'src', 'cli.ts')].concat(process.argv.slice(2))
const { status } = spawnSync(node, args, { stdio: 'inherit' })
process.exitCode = status === null ? 1 : status
