// Runs every test of the repository, or those whose path contains one of the arguments, and ends with one line that says
// how many passed and failed. Options of `node --test` that narrow a run (--test-name-pattern=...) are understood too.
import { resolve } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { root, summaryLine, walk } from './repository.ts'

const testFolders = ['core', 'handles', 'ledgers', 'wires', 'cli', 'examples', 'bench', 'scripts']
/** Test files at the same time: one per core of a small machine, so that timings in tests stay meaningful. */
const concurrency = 2
/** A test that takes longer than this hangs. */
const timeoutMs = 300_000

const words = process.argv.slice(2).filter((argument) => !argument.startsWith('--'))
const patterns = process.argv
  .slice(2)
  .filter((argument) => argument.startsWith('--test-name-pattern='))
  .map((argument) => argument.slice('--test-name-pattern='.length))

const files = walk(testFolders)
  .filter((path) => /(^|\/)test\/.*\.test\.ts$/.test(path))
  .filter((path) => words.length === 0 || words.some((word) => path.includes(word)))

const counts = { passed: 0, failed: 0, skipped: 0 }

/** A file that runs no test of its own is reported as a test with the file's name: no proof of anything. */
const isFile = (event) => event.nesting === 0 && files.some((path) => event.name === resolve(root, path))

function count(event, outcome) {
  if (event.details.type === 'suite') {
    // The failure of a suite repeats that of its tests, unless the suite itself (a hook, its body) went wrong.
    if (outcome === 'failed' && event.details.error?.failureType !== 'subtestsFailed') counts.failed += 1
    return
  }
  if (outcome === 'failed') {
    if (!(event.details.error?.failureType === 'subtestsFailed')) counts.failed += 1
    return
  }
  if (isFile(event)) {
    if (patterns.length > 0) return
    console.error(`no test in ${event.name}`)
    counts.failed += 1
    return
  }
  counts[event.skip === undefined && event.todo === undefined ? outcome : 'skipped'] += 1
}

if (files.length > 0) {
  const stream = run({
    files: files.map((path) => resolve(root, path)),
    cwd: root,
    concurrency,
    timeout: timeoutMs,
    execArgv: ['--conditions=quadrille-source'],
    ...(patterns.length > 0 ? { testNamePatterns: patterns } : {}),
  })
  stream.on('test:pass', (event) => count(event, 'passed'))
  stream.on('test:fail', (event) => count(event, 'failed'))
  const report = stream.compose(new spec())
  report.pipe(process.stdout, { end: false })
  await new Promise((done, failed) => report.on('end', done).on('error', failed))
} else {
  console.error(`no test file matches ${words.join(' ') || testFolders.join(', ')}`)
}

if (counts.failed > 0 || counts.passed === 0) process.exitCode = 1
console.log(`\n${summaryLine(counts)}`)
