// Everything short of the tests: one line per step, what went wrong under it, and a last line that sums up.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { root, summaryLine } from './repository.ts'

const tool = (path) => join(root, 'node_modules', ...path.split('/'))

const steps = [
  { name: 'lint', args: [tool('oxlint/bin/oxlint'), '--deny-warnings', '.'] },
  { name: 'format', args: [tool('prettier/bin/prettier.cjs'), '--check', '.'] },
  { name: 'types', args: [tool('typescript/bin/tsc'), '-p', 'tsconfig.json'] },
  {
    name: 'tidy',
    args: ['--conditions=quadrille-source', '--test', '--test-reporter=dot', 'scripts/test/tidy.test.ts'],
  },
  { name: 'compose.yaml', args: [tool('dclint/bin/dclint.cjs'), '--max-warnings', '0', 'compose.yaml'] },
  { name: 'packed install', args: ['scripts/packed-install.mjs'] },
]

/** Colours only where somebody looks at them. */
const env = process.stdout.isTTY ? process.env : { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined }

/** The output of one step and whether it succeeded. */
function run(args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
    const chunks = []
    child.stdout.on('data', (chunk) => chunks.push(chunk))
    child.stderr.on('data', (chunk) => chunks.push(chunk))
    child.on('error', (error) => resolve({ passed: false, output: String(error) }))
    child.on('close', (code) => resolve({ passed: code === 0, output: Buffer.concat(chunks).toString() }))
  })
}

const counts = { passed: 0, failed: 0 }
for (const { name, args } of steps) {
  const started = performance.now()
  const { passed, output } = await run(args)
  counts[passed ? 'passed' : 'failed'] += 1
  console.log(`${passed ? 'ok    ' : 'FAILED'} ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`)
  if (!passed) console.log(output.trimEnd())
}
if (counts.failed > 0) process.exitCode = 1
console.log(summaryLine(counts))
