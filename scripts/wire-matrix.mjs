// Runs the conformance cases of all wires against real brokers and writes what came of it into docs/wires.md.
// With --check it changes nothing, and fails when the document says something else.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import './ensure-setup.mjs'
import { root, walk } from './repository.ts'

const file = join(root, 'docs', 'wires.md')
const before = readFileSync(file, 'utf8')
const folder = mkdtempSync(join(tmpdir(), 'quadrille-wires-'))
const run = (args, env = {}) =>
  spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } }).status ?? 1
try {
  const ofWires = walk(['wires']).filter((path) => /conformance[^/]*\.test\.ts$/.test(path))
  const tests = ['core/test/wire/memory.test.ts', ...ofWires]
  const failed = run(['scripts/run-tests.mjs', ...tests], { QUADRILLE_WIRE_REPORT: folder, CI: 'true' })
  const written =
    run(['scripts/wire-matrix.ts', folder, file]) ||
    run(['node_modules/prettier/bin/prettier.cjs', '--write', '--log-level=warn', file])
  const isCurrent = readFileSync(file, 'utf8') === before
  if (process.argv.includes('--check')) writeFileSync(file, before)
  if (process.argv.includes('--check') && !isCurrent)
    console.error('docs/wires.md: the matrix is not what this run gives')
  process.exitCode = failed || written || (process.argv.includes('--check') && !isCurrent) ? 1 : 0
} finally {
  rmSync(folder, { recursive: true, force: true })
}
