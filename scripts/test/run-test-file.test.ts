/** A test file whose process does not end is a failure, and not the end of everything. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'

const folder = mkdtempSync(join(tmpdir(), 'quadrille-run-test-file-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** Runs a file with this code, and says of each test, and of the file if it was cut off, how it ended. */
async function outcomesOf(code: string): Promise<string[]> {
  const file = join(folder, 'some.test.mjs')
  writeFileSync(file, `import { test } from 'node:test'\n${code}`)
  // In a process of its own that does not know it is part of a test: the runner does not run within itself.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const module = new URL('../run-test-file.ts', import.meta.url)
  const program = `
    import { runTestFile, wasCutOff } from ${JSON.stringify(module.href)}
    const events = await runTestFile(${JSON.stringify(file)}, { testTimeoutMs: 60_000, fileTimeoutMs: 5_000 })
    for (const { type, data } of events) {
      if (type === 'test:pass') console.log('passed ' + data.name)
      if (type === 'test:fail') console.log((wasCutOff(data) ? 'cut off ' : 'failed ') + data.name)
    }
    process.exit()`
  const runner = join(folder, 'runner.mjs')
  writeFileSync(runner, program)
  const { stdout } = await promisify(execFile)(process.execPath, [runner], { env })
  return stdout.trim().replaceAll(file, 'the file').split('\n')
}

test('a file whose tests end', async () => {
  const code = `test('good', () => {}); test('bad', () => { throw new TypeError('no') })`
  assert.deepEqual(await outcomesOf(code), ['passed good', 'failed bad'])
})

test('something is left open', async () => {
  const code = `test('good', () => { setInterval(() => {}, 1000) })`
  assert.deepEqual(await outcomesOf(code), ['passed good', 'cut off the file'])
})

test('a test blocks its process', async () => {
  const code = `test('good', () => {}); test('blocks', () => { for (;;); })`
  assert.deepEqual((await outcomesOf(code)).at(-1), 'cut off the file')
})

test('a program that a test has started holds its output open', async () => {
  const program = `['-e', 'setTimeout(() => {}, 10_000)']`
  const code = `import { spawn } from 'node:child_process'
    test('good', () => { spawn(process.execPath, ${program}, { stdio: 'inherit' }).unref() })`
  assert.deepEqual(await outcomesOf(code), ['passed good', 'cut off the file'])
})
