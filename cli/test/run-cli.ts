/** Runs the command in this process, and gives back what it printed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { main } from '../src/main.ts'

/** The top folder of the repository. */
export const root: string = fileURLToPath(new URL('../..', import.meta.url))

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

export async function quadrille(args: readonly string[], cwd: string = root): Promise<Ran> {
  const printed = { out: '', err: '' }
  const code = await main(args, {
    cwd,
    colour: false,
    columns: 100,
    out: (text) => void (printed.out += text),
    err: (text) => void (printed.err += text),
  })
  return { code, ...printed }
}

/** A folder of the user's, in which packages are found as in this repository. */
export function folderOf(t: TestContext, files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(root, 'cli', 'test', '.user-'))
  t.after(() => rmSync(folder, { recursive: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}
