/** Runs the example of a page in docs/, which needs a broker: the block marked `ts example`, as a program of its own. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { fencesOf } from '../../doc-examples.ts'
import { root } from '../../repository.ts'

const timeoutMs = 60_000

/**
 * Resolves to what the example printed.
 *
 * @param page - Its path from the top folder.
 * @param env - Where the broker is, as the page says.
 */
export async function runDocumentExample(page: string, env: Readonly<Record<string, string>>): Promise<string> {
  const fences = fencesOf({ path: page, text: readFileSync(join(root, page), 'utf8') })
  const [example, ...more] = fences.filter(({ info }) => info === 'ts example')
  assert.ok(example && more.length === 0, `${page} has one example`)
  const folder = join(root, '.cache', `example-${page.replaceAll(/\W+/g, '-')}-${process.pid}`)
  mkdirSync(folder, { recursive: true })
  try {
    writeFileSync(join(folder, 'example.ts'), example.code)
    const options = { cwd: folder, timeout: timeoutMs, env: { ...process.env, ...env } }
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--conditions=quadrille-source', 'example.ts'],
      options,
    )
    return stdout
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
