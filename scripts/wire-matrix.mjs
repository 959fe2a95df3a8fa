// Runs the conformance cases of all wires and writes what came of it into docs/wires.md. What each ran against (real brokers,
// ElasticMQ, fauxqs, our server for Service Bus) stands above the matrix there, and is written by hand.
// With --check FOLDER it runs and changes nothing: it compares the document with what a run of the tests has written down
// there (QUADRILLE_WIRE_REPORT names the folder for the run), as CI does, and prints a line for its sum.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import './ensure-setup.mjs'
import { root, walk } from './repository.ts'
import { differences, readRuns, wireMatrix, withMatrix } from './wire-matrix.ts'

const file = join(root, 'docs', 'wires.md')
const run = (args, env = {}) =>
  spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } }).status ?? 1

function check(folder) {
  const found = differences(readFileSync(file, 'utf8'), readRuns(folder))
  // Outside CI a broker may be missing, and a column with it.
  const isSkipped = process.env.CI !== 'true' && found.missing.length > 0
  for (const line of isSkipped ? [`no run of ${found.missing.join(', ')}`] : found.lines)
    console.log(`docs/wires.md: ${line}`)
  const failed = !isSkipped && found.lines.length > 0
  if (failed) console.log('write it anew with npm run matrix')
  console.log(isSkipped ? '0 passed, 0 failed, 1 skipped' : failed ? '0 passed, 1 failed' : '1 passed, 0 failed')
  return failed ? 1 : 0
}

function write() {
  const folder = mkdtempSync(join(tmpdir(), 'quadrille-wires-'))
  try {
    const ofWires = walk(['wires']).filter((path) => /conformance[^/]*\.test\.ts$/.test(path))
    const tests = ['core/test/wire/memory.test.ts', ...ofWires]
    const failed = run(['scripts/run-tests.mjs', ...tests], { QUADRILLE_WIRE_REPORT: folder, CI: 'true' })
    writeFileSync(file, withMatrix(readFileSync(file, 'utf8'), wireMatrix(readRuns(folder))))
    return run(['node_modules/prettier/bin/prettier.cjs', '--write', '--log-level=warn', file]) || failed
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const at = process.argv.indexOf('--check')
process.exitCode = at === -1 ? write() : check(process.argv[at + 1])
