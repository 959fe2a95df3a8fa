// What the scripts share: where the repository is, which files it has, how a run is summed up.
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The top folder of the repository. */
export const root: string = dirname(dirname(fileURLToPath(import.meta.url)))

/** In a worktree of Git, `.git` is a file. */
const skipped = new Set(['node_modules', 'dist', 'coverage', '.git', '.cache'])

/** Every file under the folders (relative to the root, with forward slashes), in a stable order. */
export function walk(folders: readonly string[] = ['.']): string[] {
  const found: string[] = []
  const visit = (folder: string): void => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = folder === '.' ? entry.name : `${folder}/${entry.name}`
      if (skipped.has(entry.name)) continue
      if (entry.isDirectory()) visit(path)
      if (entry.isFile()) found.push(path)
    }
  }
  for (const folder of folders) if (existsSync(join(root, folder))) visit(folder)
  return found.sort()
}

/** How a run ended. */
export interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped?: number
}

/** `N passed, N failed`, and `, N skipped` when there are any. */
export function summaryLine({ passed, failed, skipped = 0 }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

/** The packages that are published and have sources, in build order: core first. */
export function packages(): string[] {
  const under = (group: string) =>
    existsSync(join(root, group))
      ? readdirSync(join(root, group))
          .sort()
          .map((name) => `${group}/${name}`)
      : []
  return ['core', ...['handles', 'observers', 'ledgers', 'wires'].flatMap(under), 'cli'].filter((folder) =>
    existsSync(join(root, folder, 'src', 'index.ts')),
  )
}
