// Runs every test of the repository, or those whose path contains one of the arguments, and ends with one line that says
// how many passed and failed. Options of `node --test` that narrow a run (--test-name-pattern=...) are understood too.
import { resolve } from 'node:path'
import { PassThrough } from 'node:stream'
import { spec } from 'node:test/reporters'
import { root, summaryLine, walk } from './repository.ts'
import { runTestFile, wasCutOff } from './run-test-file.ts'

const testFolders = ['core', 'handles', 'observers', 'ledgers', 'wires', 'cli', 'examples', 'bench', 'scripts']
/** Test files at the same time: one per core of a small machine, so that timings in tests stay meaningful. */
const concurrency = 2
/** A test that takes longer than this hangs. */
const testTimeoutMs = 200_000
/** So does the process of a file, with all its tests. It may also have left something open that keeps it alive: a server, a timer. */
const fileTimeoutMs = 420_000

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
    if (isFile(event) && wasCutOff(event))
      console.error(`${event.name} had not ended after ${fileTimeoutMs} ms: a test hangs, or something is left open`)
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

const limits = { testTimeoutMs, fileTimeoutMs, patterns }

async function runFiles() {
  const all = new PassThrough({ objectMode: true })
  const report = all.compose(new spec())
  report.pipe(process.stdout, { end: false })
  const reported = new Promise((done, failed) => report.on('end', done).on('error', failed))
  const waiting = [...files]
  const work = async () => {
    for (let path = waiting.shift(); path !== undefined; path = waiting.shift())
      for (const event of await runTestFile(resolve(root, path), limits)) {
        if (event.type === 'test:pass') count(event.data, 'passed')
        if (event.type === 'test:fail') count(event.data, 'failed')
        all.write(event)
      }
  }
  await Promise.all(Array.from({ length: concurrency }, work))
  all.end()
  await reported
}

if (files.length > 0) await runFiles()
else console.error(`no test file matches ${words.join(' ') || testFolders.join(', ')}`)

console.log(`\n${summaryLine(counts)}`)
// A program that a test has left behind may hold its output open, which would keep this process.
process.exit(counts.failed > 0 || counts.passed === 0 ? 1 : 0)
